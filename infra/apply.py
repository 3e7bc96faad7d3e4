"""A plan → the cloud: its changes, in parallel along the graph, each retried and told.

A change that meets what it did not expect (it exists, somebody changed it meanwhile, a grant is not
known everywhere yet) is read again and decided again: the whole cycle, until a deadline.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import monotonic

from infra.events import Event, Finished, Started, Status, Waited
from infra.graph import walk
from infra.plan import Action, Change, Plan, Session, order, to_converge
from infra.resources.base import Difference, Resource, Work
from infra.retry import PATIENCE, Cause, CloudError, Retry, Stopped, Waiting, backoff

DOING = {Action.CREATE: "creating", Action.UPDATE: "updating", Action.DELETE: "deleting"}
DONE = {Action.CREATE: "created", Action.UPDATE: "updated", Action.DELETE: "deleted"}
READY = "ready"
LOG = logging.getLogger(__name__)


@dataclass
class Outcome:
    """How it ended, by resource."""

    statuses: dict[str, Status]
    interrupted: bool = False

    def count(self, status: Status) -> int:
        """How many ended so."""
        return sum(1 for each in self.statuses.values() if each is status)


def preview(plan: Plan, session: Session) -> Outcome:
    """What `apply` would do, told and not done."""
    outcome = Outcome({})
    for change in plan.changes:
        record(outcome, session, ended(change, would_be(change), 0))
    fail_unread(plan, session, outcome)
    return outcome


def would_be(change: Change) -> str:
    """What would be done about a resource."""
    return f"would be {DONE[change.action]}" if change.action in DONE else ""


def refuse(plan: Plan, session: Session) -> Outcome:
    """Tells what keeps a plan from being carried out."""
    outcome = Outcome({})
    for change in plan.refused:
        record(outcome, session, ended(change, change.reason, 0))
    fail_unread(plan, session, outcome)
    return outcome


def fail_unread(plan: Plan, session: Session, outcome: Outcome) -> None:
    """Tells what could not be read."""
    for resource, error in plan.failures:
        failed = Finished(resource.kind, resource.name, Status.FAILED, str(error))
        record(outcome, session, failed)


def apply(plan: Plan, session: Session) -> Outcome:
    """Carries out a plan. Returns when everything in flight is done, interrupted or not."""
    return Application(plan, session).run()


class Application:
    """A plan that is being carried out."""

    def __init__(self, plan: Plan, session: Session) -> None:
        self.session = session
        self.changes: Mapping[str, Change] = {each.resource.key: each for each in plan.changes}
        self.outcome = Outcome({})
        self.removing = any(each.removing for each in plan.changes)

    def run(self) -> Outcome:
        """Walks the graph."""
        graph = order(self.changes, removing=self.removing)
        walk(graph, self.visit, self.block, self.session.stop)
        self.outcome.interrupted = self.session.stop.is_set()
        return self.outcome

    def visit(self, key: str) -> bool:
        """Carries out one change. Returns whether what needs the resource may go on."""
        change = self.changes[key]
        started = monotonic()
        if change.action is Action.NONE:
            finished = ended(change, change.reason, 0)
        else:
            resource = change.resource
            self.emit(Started(resource.kind, resource.name, DOING[change.action]))
            finished = self.carry_out(change, started)
        self.record(finished)
        return finished.status in {Status.OK, Status.CHANGED}

    def carry_out(self, change: Change, started: float) -> Finished:
        """Carries out one change, and says how it ended."""
        resource = change.resource
        try:
            waiting = self.converge(change)
        except CloudError as error:
            LOG.debug("%s failed", resource.key, exc_info=True)
            failed = Finished(resource.kind, resource.name, Status.FAILED, str(error))
            return replace(failed, seconds=monotonic() - started)
        except Stopped:
            return Finished(resource.kind, resource.name, Status.BLOCKED, "interrupted")
        text = ", ".join(filter(None, (DONE[change.action], change.reason)))
        finished = Finished(resource.kind, resource.name, Status.CHANGED, text)
        if waiting:
            finished = replace(finished, status=Status.WAITING, text=waiting)
        return replace(finished, seconds=monotonic() - started, fields=change.fields)

    def converge(self, change: Change) -> str | None:
        """One change, redone from the reading on while that is what its failure asks for."""
        resource, waits, started = change.resource, 0, monotonic()
        work = self.work_on(resource)
        while True:
            try:
                return write(change, work)
            except CloudError as error:
                waited = monotonic() - started
                if not self.is_worth_redoing(error, waited):
                    raise
                waits += 1
                if error.cause is Cause.PROPAGATING:
                    deadline = PATIENCE[Cause.PROPAGATING].deadline
                    self.wait(resource, Waiting(error.said, waited, deadline))
                work.retry.pause(backoff(PATIENCE[Cause.PROPAGATING], waits))
                again = self.decide_again(change, work, error)
            if again is None:
                return None
            change = again

    def is_worth_redoing(self, error: CloudError, waited: float) -> bool:
        """Whether a failure is one of those that a new reading may cure."""
        redone = {Cause.EXISTS, Cause.CONFLICT, Cause.PROPAGATING}
        return error.cause in redone and waited < PATIENCE[Cause.PROPAGATING].deadline

    def decide_again(self, change: Change, work: Work, error: CloudError) -> Change | None:
        """The change that is left to do, after a new reading; None for none.

        Raises CloudError for what turns out to be somebody else's.
        """
        resource = change.resource
        live = work.look(resource)
        if self.removing:
            return None if live is None else change
        if live is None and error.cause is Cause.EXISTS:
            raise error
        again = to_converge(resource, live, self.session.adopt)
        if again.action is Action.REFUSE:
            raise CloudError(DOING[change.action], again.reason)
        if again.action is Action.NONE and error.cause is Cause.PROPAGATING:
            # It is as declared, and does not work: what it needs was not there when it was made.
            tried = (Difference(READY, error.said, True),)
            return replace(again, action=Action.UPDATE, differences=tried)
        return None if again.action is Action.NONE else again

    def work_on(self, resource: Resource) -> Work:
        """What a resource is written with."""
        retry = Retry(
            self.session.stop,
            recent=any(self.has_changed(need) for need in resource.needs),
            report=lambda waiting: self.wait(resource, waiting),
        )
        return Work(self.session.cloud, retry, self.session.facts)

    def has_changed(self, resource: Resource) -> bool:
        """Whether it, or something that it needs, was changed a moment ago."""
        if self.outcome.statuses.get(resource.key) is Status.CHANGED:
            return True
        return any(self.has_changed(need) for need in resource.needs)

    def block(self, key: str, because: str) -> None:
        """Tells that a change is not made, because of another."""
        resource = self.changes[key].resource
        text = f"not touched: {because} is not done"
        self.record(Finished(resource.kind, resource.name, Status.BLOCKED, text))

    def wait(self, resource: Resource, waiting: Waiting) -> None:
        """Tells what a change waits for."""
        self.emit(
            Waited(resource.kind, resource.name, waiting.what, waiting.seconds, waiting.deadline)
        )

    def record(self, finished: Finished) -> None:
        """Keeps and tells how a change ended."""
        record(self.outcome, self.session, finished)

    def emit(self, event: Event) -> None:
        """Tells what happens."""
        self.session.emit(event)


def write(change: Change, work: Work) -> str | None:
    """The write itself. Returns what somebody has to do before what needs it can go on."""
    if change.action is Action.CREATE:
        return change.resource.create(work)
    if change.action is Action.UPDATE:
        return change.resource.update(work, list(change.differences))
    try:
        change.resource.delete(work)
    except CloudError as error:
        if error.cause is not Cause.ABSENT:
            raise
    return None


def ended(change: Change, text: str, seconds: float) -> Finished:
    """How it ends with a resource whose change is not carried out."""
    resource, live = change.resource, change.live
    status = Status.OK if change.action is Action.NONE else Status.CHANGED
    if change.action is Action.REFUSE:
        status, text = Status.FAILED, change.reason
    elif change.action is Action.NONE and live is not None and live.waiting:
        status, text = Status.WAITING, live.waiting
    elif change.action is Action.NONE and live is not None and live.note:
        text = live.note
    return Finished(resource.kind, resource.name, status, text, seconds, change.fields)


def record(outcome: Outcome, session: Session, finished: Finished) -> None:
    """Keeps and tells how it ended with a resource."""
    outcome.statuses[f"{finished.kind} {finished.name}"] = finished.status
    session.emit(finished)
