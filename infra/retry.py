"""The one retry of the engine: wait and call again, or stop and say why.

What an error means is in causes.py. Google's clients retry little, and not what matters here. A
write whose answer was lost is not repeated here: whoever sent it reads first (apply.py).
"""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Protocol

from infra import denied
from infra.causes import Cause, answer_of, awaited, classify, message_of
from infra.clock import SYSTEM, Clock, pause
from infra.report import spell


@dataclass(frozen=True)
class Patience:
    """How long a cause is waited out, in seconds."""

    first: float
    most: float
    deadline: float


PATIENCE = {
    Cause.TRANSIENT: Patience(0.3, 10, 120),
    Cause.THROTTLED: Patience(2, 30, 180),
    Cause.BUSY: Patience(1, 15, 1200),
    Cause.PROPAGATING: Patience(0.5, 10, 420),
}
"""What is waited out by calling again."""
REDONE = {
    Cause.TRANSIENT: PATIENCE[Cause.TRANSIENT],
    Cause.PROPAGATING: PATIENCE[Cause.PROPAGATING],
    Cause.CONFLICT: Patience(0.1, 5, 120),
    Cause.EXISTS: Patience(0.5, 10, 120),
}
"""What is waited out by reading again and deciding again."""


@contextmanager
def impatient(cause: Cause, deadline: float) -> Iterator[None]:
    """Waits a cause out for so many seconds at most, for the length of the block: of a cloud that
    is known not to be late."""
    before = [(known, known[cause]) for known in (PATIENCE, REDONE) if cause in known]
    for known, patience in before:
        known[cause] = replace(patience, deadline=deadline)
    try:
        yield
    finally:
        for known, patience in before:
            known[cause] = patience


POLL = Patience(0.1, 5, 2400)
POLL_SHARE = 0.03
"""The part of the time that an operation took already after which it is asked about again: its end
is noticed soon, be it one of a second or of ten minutes, and it is not asked about too often."""
FACTOR = 1.5


class Stopped(Exception):
    """The command was interrupted while it waited."""


class CloudError(Exception):
    """Something failed: what was being done, what Google said, and what to do next."""

    def __init__(
        self,
        doing: str,
        said: str,
        fix: str = "",
        cause: Cause = Cause.INVALID,
        waited: float = 0,
    ) -> None:
        super().__init__(f"{doing}: {said}" + (f"\n{fix}" if fix else ""))
        self.doing = doing
        self.said = said
        self.fix = fix
        self.cause = cause
        self.waited = waited
        """Seconds that its cause has been waited out already."""


class LongRunning[T](Protocol):
    """A long-running operation, as Google's clients give it."""

    def done(self) -> bool: ...
    def result(self) -> T: ...


@dataclass(frozen=True)
class Waiting:
    """What is waited for: how long already, and how long at most, in seconds."""

    what: str
    seconds: float
    deadline: float


def ignore(waiting: Waiting) -> None:
    """Nobody wants to know."""


@dataclass
class Spent:
    """The patience that causes have cost, so that one does not use up another's."""

    clock: Clock
    patience: dict[Cause, Patience]
    seconds: dict[Cause, float] = field(default_factory=dict)
    tries: dict[Cause, int] = field(default_factory=dict)

    def is_over(self, cause: Cause) -> bool:
        """Whether a cause is not, or no longer, waited out."""
        patience = self.patience.get(cause)
        return patience is None or self.seconds.get(cause, 0) >= patience.deadline

    def next(self, cause: Cause, asked: float | None = None) -> float:
        """Seconds before the next try; at least those that Google asked for."""
        self.tries[cause] = self.tries.get(cause, 0) + 1
        return max(backoff(self.patience[cause], self.tries[cause]), asked or 0)

    def add(self, cause: Cause, seconds: float) -> None:
        """Notes what a failed try and the pause after it took."""
        self.seconds[cause] = self.seconds.get(cause, 0) + seconds

    def waiting(self, cause: Cause, said: str) -> Waiting:
        """What to tell about it."""
        spent = self.seconds.get(cause, 0)
        return Waiting(awaited(cause, said), spent, self.patience[cause].deadline)


@dataclass
class Retry:
    """Calls, and calls again while the cause of the failure says so.

    `recent`: something that the calls need was changed a moment ago, so that a refusal may only
    mean that the change is not known everywhere yet. `caller` and `project`: who calls, as a
    member of policies, and where, for saying what would allow it; "" where it is not known.
    """

    stop: Event
    recent: bool = False
    report: Callable[[Waiting], None] = ignore
    clock: Clock = SYSTEM
    caller: Callable[[], str] = str
    project: str = ""
    operation: str = ""
    """The operation that is in flight at Google, by its name."""

    def call[T](self, doing: str, function: Callable[[], T]) -> T:
        """What the function, which only reads, returns. Raises CloudError, or Stopped."""
        return self._call(doing, function, PATIENCE, interruptible=True)

    def write[T](self, doing: str, function: Callable[[], T]) -> T:
        """What the function returns. Raises CloudError, or Stopped.

        A failure after which it may have been done all the same is raised as TRANSIENT: read
        what is there before it is done again.
        """
        patience = dict(PATIENCE)
        del patience[Cause.TRANSIENT]
        return self._call(doing, function, patience, interruptible=True)

    def _call[T](
        self,
        doing: str,
        function: Callable[[], T],
        patience: dict[Cause, Patience],
        *,
        interruptible: bool,
    ) -> T:
        spent = Spent(self.clock, patience)
        while True:
            began = self.clock.now()
            try:
                return function()
            except Exception as error:
                cause = classify(error, recent=self.recent)
                if cause is None:
                    raise
                answer = answer_of(error)
                asked = answer.retry_after if answer else None
                hopeless = cause in patience and (asked or 0) > patience[cause].deadline
                if spent.is_over(cause) or hopeless:
                    waited = spent.seconds.get(cause, 0)
                    raise self.explain(doing, error, cause, waited) from error
                if spent.seconds.get(cause, 0) > 0:
                    self.report(spent.waiting(cause, message_of(error)))
                self.pause(spent.next(cause, asked), interruptible=interruptible)
                spent.add(cause, self.clock.now() - began)

    def wait[T](self, doing: str, operation: LongRunning[T]) -> T:
        """The result of a long-running operation. Raises CloudError."""
        self.until(doing, operation.done, operation=operation_name(operation))
        try:
            return operation.result()
        except Exception as error:
            # What the operation did is over: it has to be begun anew, if at all.
            cause = classify(error, recent=self.recent)
            if cause is None:
                raise
            raise self.explain(doing, error, cause, 0) from error

    def until(self, doing: str, done: Callable[[], bool], operation: str = "") -> None:
        """Returns when the function says True. Raises CloudError.

        Interrupted, it goes on: what is in flight is waited for.
        """
        self.operation = operation or doing
        started = self.clock.now()
        while not self._call(doing, done, PATIENCE, interruptible=False):
            waited = self.clock.now() - started
            if waited >= POLL.deadline:
                said = f"it is not done after {spell(waited)}"
                raise CloudError(doing, f"{said} ({operation})" if operation else said, RUN_AGAIN)
            self.report(Waiting(doing, waited, 0))
            self.clock.sleep(min(POLL.most, max(POLL.first, waited * POLL_SHARE)))
        self.operation = ""

    def pause(self, seconds: float, *, interruptible: bool = True) -> None:
        """Sleeps. Raises Stopped when the command is interrupted meanwhile."""
        if not interruptible:
            self.clock.sleep(seconds)
        elif pause(self.clock, seconds, self.stop):
            raise Stopped

    def explain(self, doing: str, error: Exception, cause: Cause, waited: float) -> CloudError:
        """The error for a person."""
        said = message_of(error)
        answer = answer_of(error)
        if waited >= 1:
            said = f"{said} (tried for {spell(waited)})"
        if answer and answer.violations and cause is Cause.INVALID:
            said += "".join(f"\n{each.field}: {each.why}" for each in answer.violations)
        fix = FIXES.get(cause, "")
        if is_login(said):
            fix = "Log in again: gcloud auth application-default login"
        elif cause is Cause.DENIED:
            told = f"{message_of(error)} {answer.text if answer else ''}"
            fix = denied.fix(told, self.caller(), self.project)
        return CloudError(doing, said, fix, cause, waited)


RUN_AGAIN = "Run the same command again: it goes on where this one ended."
FIXES = {
    Cause.TRANSIENT: RUN_AGAIN,
    Cause.THROTTLED: f"The project's quota is used up for now. {RUN_AGAIN}",
    Cause.BUSY: RUN_AGAIN,
    Cause.PROPAGATING: f"It can take Google longer than that. {RUN_AGAIN}",
    Cause.CONFLICT: f"Somebody else keeps changing it. {RUN_AGAIN}",
}


def is_login(said: str) -> bool:
    """Whether it is the login that is no longer good."""
    return bool(re.search(r"Reauthentication|invalid_grant", said))


def operation_name(operation: object) -> str:
    """An operation's name at Google, "" when its client does not say."""
    return str(getattr(getattr(operation, "operation", None), "name", ""))


def backoff(patience: Patience, tries: int) -> float:
    """Seconds before the next try."""
    longest = min(patience.most, patience.first * FACTOR ** min(tries - 1, 30))
    return longest * random.uniform(0.7, 1)  # noqa: S311
