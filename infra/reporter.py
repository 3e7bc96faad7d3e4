"""Events → what a person sees: a line for each resource as it ends, what takes long, the recap.

For a CI, `EventWriter` writes the same events as JSON, one a line.
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Event as Flag
from threading import RLock, Thread
from time import monotonic
from types import TracebackType
from typing import Self

from infra.events import (
    SENSITIVE,
    Begun,
    Ended,
    Event,
    Failure,
    Field,
    Finished,
    ResourceEvent,
    Several,
    Started,
    Status,
    Waited,
)
from infra.report import Colour, fold, paint, say, say_meanwhile, spell
from infra.yaml_file import Value

TICK_SECONDS = 0.5
QUIET_SECONDS = 30
"""How often a log, which no line can be overwritten in, hears of what takes long."""
STATUS_WIDTH = 8
KEY_WIDTH = 35
INDENT = STATUS_WIDTH + 3
COLOURS = {
    Status.OK: Colour.GREEN,
    Status.CHANGED: Colour.YELLOW,
    Status.FAILED: Colour.RED,
    Status.WAITING: Colour.BLUE,
    Status.BLOCKED: Colour.MAGENTA,
    Status.SKIPPED: Colour.CYAN,
}
DELETE = "delete"
ALWAYS = (Status.OK, Status.CHANGED, Status.FAILED)
"""What a recap counts even when there is none."""

type Emit = Callable[[Event], None]


@dataclass
class Running:
    """What is being done about a resource, and since when."""

    doing: str
    since: float
    said: float
    waits: bool = False

    def text(self, now: float) -> str:
        """It in words; what is waited for says the time itself."""
        return self.doing if self.waits else f"{self.doing}, {spell(now - self.since)}"


@dataclass
class Reporter:
    """Tells what happens, from any thread; the recap when it is left.

    `services` are those that the run is about, when there are several: each line says which it
    is of, and what is as declared has none.
    """

    diff: bool = False
    services: tuple[str, ...] = ()
    running: dict[str, Running] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)
    lines: int = 0
    """How many lines of resources were told."""
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
        if self.ended and (self.lines or not self.is_several):
            say()
        order = {name: place for place, name in enumerate(self.services)}
        for line in recaps(sorted(self.ended, key=lambda each: order.get(each.service, 0))):
            say(line)

    def __call__(self, event: Event) -> None:
        """Takes an event."""
        with self.lock:
            match event:
                case Several():
                    self.services = event.services
                    many = f"{len(event.services)} services in {event.environment}"
                    say(f"{event.text} {many}: what is as declared is only counted\n")
                case Begun() if self.is_several:
                    pass  # the line for all of them has been said
                case Begun():
                    name = f"{event.service}-{event.environment}"
                    say(f"{event.text} {name} in project {event.project}\n")
                case Ended():
                    self.ended.append(event)
                case Failure():
                    pass  # the command itself says it, on standard error
                case _:
                    self.follow(event)

    @property
    def is_several(self) -> bool:
        """Whether the run is about several services."""
        return len(self.services) > 1

    def follow(self, event: ResourceEvent) -> None:
        """Takes what happens to a resource."""
        key = self.key(event)
        if isinstance(event, Started):
            now = monotonic()
            self.running[key] = Running(event.doing, now, now)
        elif isinstance(event, Waited) and key in self.running:
            self.running[key].doing, self.running[key].waits = waiting(event), True
        elif isinstance(event, Finished):
            self.running.pop(key, None)
            say_meanwhile("")
            self.tell(event)

    def key(self, event: ResourceEvent) -> str:
        """What the event is about, and of which service it is where there are several."""
        return f"{self.prefix(event.service)}{event.kind} {event.name}"

    def prefix(self, service: str) -> str:
        """The column that says of which service a line is."""
        if not self.is_several:
            return ""
        return f"{service:<{max(map(len, self.services))}}  "

    def tell(self, event: Finished) -> None:
        """The line of a resource, and the fields that change when they are asked for."""
        if self.is_several and event.status is Status.OK and not event.text:
            return
        self.lines += 1
        key, deleted = self.key(event), event.action == DELETE
        colour = Colour.RED if deleted else COLOURS[event.status]
        status = paint(f"{event.status:<{STATUS_WIDTH}}", colour)
        width = KEY_WIDTH + len(self.prefix(event.service))
        first, _, rest = event.text.partition("\n")
        took = f"{first}, {spell(event.seconds)}" if event.seconds >= 1 and first else first
        room = shutil.get_terminal_size().columns - INDENT - max(width, len(key)) - 1
        if sys.stdout.isatty() and len(took) > room:
            rest, took = f"{took}\n{rest}", ""
        say(f"  {status} {key:<{width}} {paint(took, Colour.RED if deleted else None)}".rstrip())
        for line in rest.splitlines():
            self.continue_line(line, Colour.RED if deleted else None)
        if self.diff and event.status is not Status.OK:
            for each in event.fields:
                self.continue_line(change(each), Colour.RED if each.new is None else None, hang=2)

    def continue_line(self, text: str, colour: Colour | None, hang: int = 0) -> None:
        """What is said of a resource under its line."""
        for line in fold(text, INDENT, hang):
            say(f"{'':{INDENT}}{paint(line, colour)}")

    def tick(self) -> None:
        """Says, while it goes on, what takes long."""
        while not self.over.wait(TICK_SECONDS):
            with self.lock:
                if self.running:
                    self.tell_running(monotonic())

    def tell_running(self, now: float) -> None:
        """What is being done at this moment: on a line of its own, or in a log now and then."""
        if sys.stdout.isatty():
            room = shutil.get_terminal_size().columns - 1
            say_meanwhile(meanwhile([f"{k} {v.text(now)}" for k, v in self.running.items()], room))
            return
        for key, each in self.running.items():
            if now - each.said >= QUIET_SECONDS:
                each.said = now
                say(f"  {'…':<{STATUS_WIDTH}} {key}: {each.text(now)}")


def meanwhile(parts: list[str], room: int) -> str:
    """As many of the parts, the oldest first, as there is room for, and how many more there are."""
    for shown in range(len(parts), 0, -1):
        more = f"; {len(parts) - shown} more" if shown < len(parts) else ""
        line = f"  … {'; '.join(parts[:shown])}{more}"
        if len(line) <= room:
            return line
    return f"  … {parts[0]}"


class EventWriter:
    """Writes events as JSON, one a line, on what was standard output when it was made.

    What is printed while it is entered goes to standard error: a reader meets nothing else.
    """

    def __init__(self, command: str, *, check: bool) -> None:
        from infra.json_events import Header, Timed  # noqa: PLC0415

        self.out = sys.stdout
        self.started = monotonic()
        self.lock = RLock()
        self.said: dict[str, tuple[str, float]] = {}
        self.to_json = Timed.of
        self.write(Header(command=command, check=check).line)

    def __enter__(self) -> Self:
        sys.stdout = sys.stderr
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.stdout = self.out

    def __call__(self, event: Event) -> None:
        """Takes an event."""
        with self.lock:
            now = monotonic() - self.started
            if isinstance(event, Several):
                return  # each has an event of its own
            if not isinstance(event, Waited) or self.is_news(event, now):
                self.write(self.to_json(event, now).line)

    def is_news(self, event: Waited, now: float) -> bool:
        """Whether what is waited for is another thing than before, or it takes long."""
        key = f"{event.service} {event.kind} {event.name}"
        what, said = self.said.get(key, ("", 0.0))
        if what == event.what and now - said < QUIET_SECONDS:
            return False
        self.said[key] = (event.what, now)
        return True

    def write(self, line: str) -> None:
        """A line, at once."""
        print(line, file=self.out, flush=True)


def of_service(service: str, emit: Emit) -> Emit:
    """Takes events of a service's resources, which are told with its name."""

    def told(event: Event) -> None:
        if isinstance(event, Started | Waited | Finished):
            event = replace(event, service=service)
        emit(event)

    return told


def waiting(event: Waited) -> str:
    """What is waited for, in words."""
    limit = f" of {spell(event.deadline)}" if event.deadline else ""
    return f"{event.what}, {spell(event.seconds)}{limit}"


def change(each: Field) -> str:
    """A field that changes."""
    if each.old == each.new == SENSITIVE:
        return f"~ {each.path}: {SENSITIVE}"
    if each.old is None:
        return f"+ {each.path}: {show(each.new)}"
    if each.new is None:
        because = f", {each.reason}" if each.reason else ""
        return f"- {each.path}: {show(each.old)}{because}"
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


def count(statuses: Mapping[str, Status]) -> dict[Status, int]:
    """How many resources ended how."""
    return {status: list(statuses.values()).count(status) for status in Status}


def recaps(ended: list[Ended]) -> list[str]:
    """The last lines: for each service how many ended how, and the time it took, aligned."""
    if not ended:
        return []
    names = [f"{each.service}-{each.environment}" for each in ended]
    shown = [
        status
        for status in Status
        if status in ALWAYS or any(each.counts[status] for each in ended)
    ]
    widths = {status: max(len(str(each.counts[status])) for each in ended) for status in shown}
    lines: list[str] = []
    for name, each in zip(names, ended, strict=True):
        parts = [recapped(status, each.counts[status], widths[status]) for status in shown]
        head = f"{name:<{max(map(len, names))}} : {' '.join(parts)}"
        lines.append(f"{head}   ({spell(each.seconds)})")
    return lines


def recapped(status: Status, number: int, width: int) -> str:
    """How many ended so, in its colour where there are any."""
    return paint(f"{status}={number:<{width}}", COLOURS[status] if number else None)
