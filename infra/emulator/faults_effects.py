"""What a call's faults do to what its handler begins: its operation, and when others see it.

The server sets them around a handler; operations take them along into their threads.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from infra.emulator.errors import GoogleError, error
from infra.emulator.faults import Fault, LateFault, OperationFault
from infra.emulator.world import World

# How often a held operation looks whether it is released.
_GLANCE = 0.02


@dataclass(frozen=True)
class Effects:
    """Seconds are the cloud's."""

    seconds: float = 0
    failure: GoogleError | None = None
    held: threading.Event | None = None
    late: float = 0
    # The names of the operations that were begun under them.
    begun: list[str] = field(default_factory=list, compare=False)

    def before_work(self, world: World, due: float) -> None:
        """Lets an operation wait until it is due, or hang. Raises what it is to end with."""
        world.clock.sleep_until(due)
        if self.held:
            with world.clock.resting():
                while not self.held.is_set() and world.pause(_GLANCE):
                    pass
        if self.failure:
            raise self.failure

    @property
    def concern_operation(self) -> bool:
        """Whether an operation takes time, hangs or fails."""
        return bool(self.seconds or self.failure or self.held)


_NONE = Effects()
_CURRENT: ContextVar[Effects] = ContextVar("effects", default=_NONE)


def current() -> Effects:
    """Returns what is to happen to an operation that is begun here and now."""
    return _CURRENT.get()


@contextmanager
def applied(world: World, effects: Effects) -> Iterator[None]:
    """Effects hold for what is called inside, and for the operations it begins."""
    token = _CURRENT.set(effects)
    try:
        with world.late(effects.late):
            yield
    finally:
        _CURRENT.reset(token)


def of(method: str, faults: Iterable[Fault], durations: Mapping[str, float]) -> Effects:
    """Returns the effects of a call's faults, and how long its operation takes at least."""
    fitting = [taken for pattern, taken in durations.items() if fnmatchcase(method, pattern)]
    seconds = max(fitting, default=0)
    failure: GoogleError | None = None
    held: threading.Event | None = None
    late = 0.0
    for fault in faults:
        match fault.rule:
            case OperationFault() as rule:
                seconds = max(seconds, rule.seconds)
                held = fault.released if rule.hang else held
                failure = error(rule.name, rule.message) if rule.name else failure
            case LateFault() as rule:
                late = max(late, rule.seconds)
            case _:
                pass
    return Effects(seconds, failure, held, late)
