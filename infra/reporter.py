"""Events → what a person sees: a line for each resource as it ends, what takes long, the recap."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event as Flag
from threading import RLock, Thread
from time import monotonic
from types import TracebackType
from typing import Self

from infra.events import Event, Field, Finished, Started, Status, Waited
from infra.report import say, say_meanwhile, spell
from infra.yaml_file import Value

TICK_SECONDS = 0.5
QUIET_SECONDS = 30
"""How often a log, which no line can be overwritten in, hears of what takes long."""
KIND_WIDTH = 15
NAME_WIDTH = 30


@dataclass
class Running:
    """What is being done about a resource."""

    doing: str
    since: float
    said: float


@dataclass
class Reporter:
    """Tells what happens, from any thread."""

    diff: bool = False
    running: dict[str, Running] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)
    over: Flag = field(default_factory=Flag)
    ticker: Thread | None = None

    def __enter__(self) -> Self:
        self.ticker = Thread(target=self.tick, daemon=True)
        self.ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        if self.ticker:
            self.ticker.join()
        say_meanwhile("")

    def __call__(self, event: Event) -> None:
        """Takes an event."""
        with self.lock:
            key = f"{event.kind} {event.name}"
            if isinstance(event, Started):
                self.running[key] = Running(event.doing, monotonic(), monotonic())
            elif isinstance(event, Waited) and key in self.running:
                self.running[key].doing = waiting(event)
            elif isinstance(event, Finished):
                self.running.pop(key, None)
                say_meanwhile("")
                self.tell(event)

    def tell(self, event: Finished) -> None:
        """The line of a resource, and the fields that change when they are asked for."""
        first, _, rest = event.text.partition("\n")
        took = f"{first}, {spell(event.seconds)}" if event.seconds >= 1 and first else first
        head = f"  {event.status:<8} {event.kind:<{KIND_WIDTH}} {event.name:<{NAME_WIDTH}}"
        say(f"{head} {took}".rstrip())
        for line in rest.splitlines():
            say(f"{'':11}{line}")
        if self.diff and event.status in {Status.CHANGED, Status.FAILED}:
            for each in event.fields:
                say(f"{'':11}{change(each)}")

    def tick(self) -> None:
        """Says, while it goes on, what takes long."""
        while not self.over.wait(TICK_SECONDS):
            with self.lock:
                if self.running:
                    self.tell_running()

    def tell_running(self) -> None:
        """What is being done at this moment: on a line of its own, or in a log now and then."""
        now = monotonic()
        if sys.stdout.isatty():
            parts = [
                f"{key} {each.doing} {spell(now - each.since)}"
                for key, each in self.running.items()
            ]
            say_meanwhile(f"  … {'; '.join(parts)}")
            return
        for key, each in self.running.items():
            if now - each.said >= QUIET_SECONDS:
                each.said = now
                say(f"  …        {key}: {each.doing}, {spell(now - each.since)} so far")


def waiting(event: Waited) -> str:
    """What is waited for, in words."""
    limit = f", {spell(event.seconds)} of {spell(event.deadline)}" if event.deadline else ""
    return f"{event.what}{limit}"


def change(each: Field) -> str:
    """A field that changes."""
    if each.old is None:
        return f"+ {each.path}: {show(each.new)}"
    if each.new is None:
        return f"- {each.path}: {show(each.old)}"
    return f"~ {each.path}: {show(each.old)} → {show(each.new)}"


def show(value: Value) -> str:
    """A value, on a line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {show(each)}" for key, each in value.items())
    if isinstance(value, list):
        return f"[{', '.join(show(each) for each in value)}]"
    return "" if value is None else str(value)


def recap(name: str, statuses: Mapping[str, Status], seconds: float) -> str:
    """The last line: how many ended how, and the time it took."""
    counts = {status: list(statuses.values()).count(status) for status in Status}
    always = {Status.OK, Status.CHANGED, Status.FAILED}
    parts = [f"{each}={count}" for each, count in counts.items() if count or each in always]
    return f"{name} : {' '.join(parts)}   ({spell(seconds)})"
