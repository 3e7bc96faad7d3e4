"""A plan → the cloud: its changes, in parallel along the graph, each retried and told.

A change that meets what it did not expect (it exists, somebody changed it meanwhile, a grant is not
known everywhere yet) is read again and decided again: the whole cycle, until a deadline.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock

from infra.causes import Cause
from infra.events import Event, Finished, Started, Status, Waited
from infra.graph import walk
from infra.outcome import Outcome
from infra.plan import Action, Change, Plan, Session, order, to_converge
from infra.resources.base import Difference, Live, Resource, Work
from infra.retry import REDONE, CloudError, Spent, Stopped, Waiting

DOING = {
    Action.CREATE: "creating",
    Action.UPDATE: "updating",
    Action.DELETE: "deleting",
    Action.WAIT: "waiting for",
}
DONE = {Action.CREATE: "created", Action.UPDATE: "updated", Action.DELETE: "deleted"}
DUE = {
    Action.CREATE: "would be created",
    Action.UPDATE: "would be updated",
    Action.DELETE: "would be deleted",
    Action.WAIT: "not done yet",
    Action.REFUSE: "somebody else's",
}
READY = "ready"
LOG = logging.getLogger(__name__)


def preview(plan: Plan, session: Session) -> Outcome:
    """What `apply` would do, told and not done."""
    outcome = Outcome({})
    for change in plan.changes:
        record(outcome, session, ended(change, would_be(change), 0))
    fail_unread(plan, session, outcome)
    return outcome


def would_be(change: Change) -> str:
    """What would be done about a resource."""
    return DUE[change.action] if change.action in DONE else ""


def refuse(plan: Plan, session: Session) -> Outcome:
    """Tells what keeps a plan from being carried out."""
    outcome = Outcome({}, refused=True)
    for change in plan.refused:
        record(outcome, session, ended(change, change.reason, 0))
    fail_unread(plan, session, outcome)
    return outcome


def leave(plan: Plan, session: Session, before: Outcome) -> Outcome:
    """Tells that nothing more is done, because of what `before` tells failed."""
    for change in plan.changes:
        resource = change.resource
        if resource.key not in before.statuses and change.action is not Action.NONE:
            text = "not touched: what comes first is not done"
            blocked = Finished(resource.kind, resource.name, Status.BLOCKED, text)
            record(before, session, blocked)
    return before


def fail_unread(plan: Plan, session: Session, outcome: Outcome) -> None:
    """Tells what could not be read."""
    for resource, error in plan.failures:
        failed = Finished(resource.kind, resource.name, Status.FAILED, str(error))
        record(outcome, session, failed)


def apply(plan: Plan, session: Session, before: Outcome | None = None) -> Outcome:
    """Carries out a plan, after what `before` tells was done. Returns how all of it ended.

    Interrupted, it starts nothing more and waits for what is in flight; interrupted again, it
    tells which operations go on without it.
    """
    return Application(plan, session, before).run()


class Application:
    """A plan that is being carried out, after what `before` tells was done already."""

    def __init__(self, plan: Plan, session: Session, before: Outcome | None = None) -> None:
        self.session = session
        self.changes: Mapping[str, Change] = {each.resource.key: each for each in plan.changes}
        self.outcome = Outcome(dict(before.statuses) if before else {})
        self.told = frozenset(self.outcome.statuses)
        self.removing = any(each.removing for each in plan.changes)
        self.works: dict[str, Work] = {}
        self.lock = Lock()
        self.abandoned = False

    def run(self) -> Outcome:
        """Walks the graph. Interrupted a second time, it leaves what is in flight and says so."""
        graph = order(self.changes, removing=self.removing)
        self.session.abandon = self.abandon
        try:
            walk(graph, self.visit, self.block, self.session.stop)
        except KeyboardInterrupt:
            self.abandon()
        self.outcome.interrupted = self.session.stop.is_set()
        return self.outcome

    def visit(self, key: str) -> bool:
        """Carries out one change. Returns whether what needs the resource may go on."""
        change = self.changes[key]
        resource = change.resource
        nothing = change.action is Action.NONE and not self.may_be_gone(resource)
        if nothing or not change.is_open:
            finished = replace(ended(change, change.reason, 0), action=change.action)
            if key in self.told and finished.status is Status.OK:
                return True
        else:
            if change.action is not Action.NONE:
                self.emit(Started(resource.kind, resource.name, DOING[change.action]))
            finished = self.carry_out(change, self.session.clock.now())
        self.record(finished)
        return finished.status in {Status.OK, Status.CHANGED}

    def may_be_gone(self, resource: Resource) -> bool:
        """Whether what it needs was pending when both were read, and made anew since.

        A service that was being deleted takes its policy along.
        """
        return any(
            need.key in self.changes
            and self.changes[need.key].action is Action.WAIT
            and self.outcome.statuses.get(need.key) is Status.CHANGED
            for need in resource.needs
        )

    def carry_out(self, change: Change, started: float) -> Finished:
        """Carries out one change, and says how it ended."""
        resource = change.resource
        work = self.work_on(resource)
        with self.lock:
            self.works[resource.key] = work
        try:
            if change.action is Action.NONE:
                change = self.decide_again(change, work, None)
            finished = self.converge(change, work)
        except CloudError as error:
            LOG.debug("%s failed", resource.key, exc_info=True)
            finished = Finished(resource.kind, resource.name, Status.FAILED, str(error))
        except Stopped:
            finished = Finished(resource.kind, resource.name, Status.BLOCKED, "interrupted")
        seconds = self.session.clock.now() - started
        return replace(finished, seconds=seconds, action=change.action)

    def converge(self, change: Change, work: Work) -> Finished:
        """One change, redone from the reading on while that is what its failure asks for.

        So is a write whose answer was lost: what is there tells whether it was done.
        """
        resource, todo = change.resource, change
        clock = self.session.clock
        spent = Spent(clock, REDONE)
        while todo.action is not Action.NONE:
            began, error = clock.now(), None
            try:
                if todo.action is not Action.WAIT:
                    return self.done(change, work, write(todo, work))
                self.settle(todo, work)
            except CloudError as raised:
                error = raised
                self.pause(work, resource, spent, error)
                spent.add(error.cause, clock.now() - began)
            todo = self.decide_again(todo, work, error)
        return self.done(change, work, todo.live.waiting if todo.live else "")

    def done(self, change: Change, work: Work, waiting: str | None) -> Finished:
        """How a change ended that did not fail."""
        resource = change.resource
        if waiting:
            return Finished(
                resource.kind, resource.name, Status.WAITING, waiting, fields=change.fields
            )
        if not work.writes:
            text = "" if change.action is Action.NONE else "waited for"
            return Finished(resource.kind, resource.name, Status.OK, text)
        done = DONE.get(change.action, DONE[Action.UPDATE])
        text = (
            done if change.action is Action.WAIT else ", ".join(filter(None, (done, change.reason)))
        )
        return Finished(resource.kind, resource.name, Status.CHANGED, text, fields=change.fields)

    def settle(self, change: Change, work: Work) -> None:
        """Returns when Google is done with what it is doing about a resource."""

        def is_settled() -> bool:
            live = work.look(change.resource)
            return live is None or not live.pending

        work.retry.until(change.reason, is_settled)

    def pause(self, work: Work, resource: Resource, spent: Spent, error: CloudError) -> None:
        """Waits before a failed change is decided anew; raises the failure if it is no use."""
        spent.add(error.cause, error.waited)
        if spent.is_over(error.cause):
            raise error
        LOG.debug("%s: %s, reading again", resource.key, error.cause, exc_info=error)
        if error.cause is Cause.PROPAGATING:
            self.wait(resource, spent.waiting(error.cause, error.said))
        work.retry.pause(spent.next(error.cause))

    def decide_again(self, change: Change, work: Work, error: CloudError | None) -> Change:
        """The change that is left to do, after a new reading.

        Raises CloudError for what turns out to be somebody else's.
        """
        resource = change.resource
        live = work.look(resource)
        if self.removing:
            return left_to_remove(change, live)
        again = to_converge(resource, live, self.session.adopt)
        if again.action is Action.REFUSE:
            raise CloudError(DOING[change.action], again.reason)
        if error and error.cause is Cause.PROPAGATING and again.action is Action.NONE:
            # It is as declared, and does not work: what it needs was not there when it was made.
            tried = (Difference(READY, error.said, True),)
            return replace(again, action=Action.UPDATE, differences=tried)
        return again

    def work_on(self, resource: Resource) -> Work:
        """What a resource is written with."""
        recent = any(self.has_changed(need) for need in resource.needs)
        retry = self.session.retry(lambda waiting: self.wait(resource, waiting), recent=recent)
        return Work(self.session.cloud, retry, self.session.facts)

    def has_changed(self, resource: Resource) -> bool:
        """Whether it, or something that it needs, was changed a moment ago."""
        if self.outcome.statuses.get(resource.key) is Status.CHANGED:
            return True
        return any(self.has_changed(need) for need in resource.needs)

    def block(self, key: str, because: str) -> None:
        """Tells that a change is not made, because of another."""
        change = self.changes[key]
        blocked = ended(change, change.reason, 0)
        if change.is_open:
            text = f"not touched: {because} is not done"
            blocked = replace(blocked, status=Status.BLOCKED, text=text, fields=())
        self.record(blocked)

    def abandon(self) -> Outcome:
        """Tells what is in flight, and takes no more notice of it. Returns how far it came."""
        with self.lock:
            self.abandoned = True
            left = list(self.works.items())
        for key, work in left:
            resource = self.changes[key].resource
            text = in_flight(DOING[self.changes[key].action], work.retry.operation)
            finished = Finished(resource.kind, resource.name, Status.BLOCKED, text)
            record(self.outcome, self.session, finished)
        self.outcome.interrupted = True
        return self.outcome

    def wait(self, resource: Resource, waiting: Waiting) -> None:
        """Tells what a change waits for."""
        self.emit(
            Waited(resource.kind, resource.name, waiting.what, waiting.seconds, waiting.deadline)
        )

    def record(self, finished: Finished) -> None:
        """Keeps and tells how a change ended."""
        with self.lock:
            self.works.pop(f"{finished.kind} {finished.name}", None)
            if not self.abandoned:
                record(self.outcome, self.session, finished)

    def emit(self, event: Event) -> None:
        """Tells what happens."""
        if not self.abandoned:
            self.session.emit(event)


def left_to_remove(change: Change, live: Live | None) -> Change:
    """What is left to do of a removal, or of a part that is taken back from what stays."""
    if live is None or live.empty:
        return replace(change, action=Action.NONE)
    if change.action is not Action.UPDATE:
        return change
    left = tuple(change.resource.taken_back(live))
    return replace(change, differences=left, action=Action.UPDATE if left else Action.NONE)


def in_flight(doing: str, operation: str) -> str:
    """What to say of a change that is left in flight."""
    if not operation:
        return f"interrupted while {doing} it; the next run looks whether it was done"
    return f"interrupted: {doing} it goes on at Google\noperation {operation}"


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
    status = Status.OK if change.action in {Action.NONE, Action.WAIT} else Status.CHANGED
    if change.blocked:
        status, text = Status.BLOCKED, change.blocked
    elif change.left_out and change.action is not Action.NONE:
        status, text = Status.SKIPPED, f"left out, {DUE[change.action]}"
    elif change.action is Action.REFUSE:
        status, text = Status.FAILED, change.reason
    elif change.action is Action.NONE and live is not None and live.waiting:
        status, text = Status.WAITING, live.waiting
    elif change.action is Action.WAIT:
        text = f"not yet: {change.reason}"
    return Finished(
        resource.kind, resource.name, status, text, seconds, change.fields, change.action
    )


def record(outcome: Outcome, session: Session, finished: Finished) -> None:
    """Keeps and tells how it ended with a resource."""
    outcome.statuses[f"{finished.kind} {finished.name}"] = finished.status
    session.emit(finished)
