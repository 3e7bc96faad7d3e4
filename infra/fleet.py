"""Several services in one run: one plan, whose readings they share, then each by itself.

A service whose convergence fails does not stop the others. What is printed is the caller's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from threading import Lock as Mutex

from infra.apply import preview, record
from infra.converge import Lock, carry_out
from infra.events import Finished, Status
from infra.graph import walk
from infra.outcome import Outcome
from infra.plan import Part, Plan, plan, plan_all, to_converge
from infra.retry import CloudError

LEASE = "lease"

type Tell = Callable[[int, Outcome], None]
"""Takes how it ended with a service, by its place among the parts; from any thread."""


def check(parts: Sequence[Part], tell: Tell) -> None:
    """What `converge` would do, told and not done."""
    for index, (part, planned) in enumerate(zip(parts, plan_all(parts, to_converge), strict=True)):
        tell(index, preview(planned, part.session))


def converge(parts: Sequence[Part], lock: Lock, tell: Tell, stop: Event, forks: int) -> None:
    """Converges every service, `forks` at a time, and tells how each ended.

    Raises ProjectError, before anything is touched, and of a single service what converge.converge
    does. Interrupted, by `stop` and the sessions' own,
    it starts no more and waits for what is in flight; interrupted again, it tells what that is.
    """
    try:
        plans = plan_all(parts, to_converge)
    except KeyboardInterrupt:
        stop.set()
        for index in range(len(parts)):
            tell(index, Outcome({}, interrupted=True))
        return
    Fleet(parts, plans, lock, tell).run(stop, forks)


@dataclass
class Fleet:
    """Services that are being converged."""

    parts: Sequence[Part]
    plans: Sequence[Plan]
    lock: Lock
    tell: Tell
    mutex: Mutex = field(default_factory=Mutex)
    told: set[int] = field(default_factory=set)
    """The services, by their place among the parts, of which it has been told how it ended."""

    def run(self, stop: Event, forks: int) -> None:
        """Converges them, and tells of each once."""
        if len(self.parts) == 1:
            # In this thread, which an interrupt reaches: it gives its lease back, come what may.
            self.visit(0)
            return
        needs: dict[int, set[int]] = {index: set() for index in range(len(self.parts))}
        try:
            walk(needs, self.visit, lambda index, because: None, stop, forks)
        except KeyboardInterrupt:
            for index, part in enumerate(self.parts):
                self.end(index, part.session.abandon() or Outcome({}, interrupted=True))
            for part in self.parts:
                # The threads that hold the leases end with the process, and give nothing back.
                part.session.give_back()
        for index in needs:
            self.end(index, Outcome({}, interrupted=True))

    def visit(self, index: int) -> bool:
        """Converges one."""
        part, planned = self.parts[index], self.plans[index]
        try:
            if planned.due and self.told:
                # Others may have made meanwhile what they share with it.
                planned = plan(part.stack, part.session, to_converge)
            outcome = carry_out(planned, part, self.lock)
        except CloudError as error:
            if len(self.parts) == 1:
                raise
            outcome = Outcome({})
            names = part.session.cloud.names
            failed = Finished(LEASE, names.bucket, Status.FAILED, str(error))
            record(outcome, part.session, failed)
        self.end(index, outcome)
        return True

    def end(self, index: int, outcome: Outcome) -> None:
        """Tells how it ended with one, unless that has been told."""
        with self.mutex:
            if index in self.told:
                return
            self.told.add(index)
        self.tell(index, outcome)
