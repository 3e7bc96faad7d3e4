"""What is declared and what is there → what has to change, field by field, before any write."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event as Flag

from infra.caller import member
from infra.clock import SYSTEM, Clock
from infra.cloud import Cloud
from infra.events import Event, Field
from infra.resources.base import Difference, Live, Reads, Resource, Work, owned, owner
from infra.retry import CloudError, Retry, Stopped, Waiting, ignore
from infra.terms import spoken

READERS = 16


class Action(StrEnum):
    """What is done about a resource."""

    NONE = "none"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    REFUSE = "refuse"
    WAIT = "wait"
    """Google is still at work on it: wait, and decide again."""


@dataclass(frozen=True)
class Change:
    """What is done about a resource, and why."""

    resource: Resource
    action: Action
    differences: tuple[Difference, ...] = ()
    live: Live | None = None
    reason: str = ""
    left_out: bool = False
    """Whether it is only looked at: it is left out of the run, and what is in it needs it."""
    blocked: str = ""
    """Why it is not carried out, when something that it needs is left out and not as declared."""

    @property
    def is_open(self) -> bool:
        """Whether it is a change that may be carried out."""
        return not self.left_out and not self.blocked

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields that change, as the environment file calls them."""
        return spoken(self.resource, self.differences)


@dataclass
class Session:
    """One command's dealings with a cloud."""

    cloud: Cloud
    emit: Callable[[Event], None]
    adopt: bool = False
    narrow: "Callable[[Plan], Plan]" = lambda planned: planned
    """Limits a plan to what the run is about."""
    stop: Flag = field(default_factory=Flag)
    facts: dict[str, str] = field(default_factory=dict)
    clock: Clock = SYSTEM

    def retry(self, report: Callable[[Waiting], None] = ignore, *, recent: bool = False) -> Retry:
        """What this command's calls are retried with."""
        return Retry(
            self.stop,
            recent=recent,
            report=report,
            clock=self.clock,
            caller=lambda: member(self.cloud),
            project=self.cloud.names.project,
        )


@dataclass(frozen=True)
class Plan:
    """The changes, one for each resource, in the order of the stack; and what could not be read."""

    changes: list[Change]
    failures: list[tuple[Resource, CloudError]]

    @property
    def refused(self) -> list[Change]:
        """What must not be touched."""
        return [each for each in self.changes if each.action is Action.REFUSE and not each.left_out]

    @property
    def due(self) -> list[Change]:
        """What has to change."""
        return [each for each in self.changes if each.action is not Action.NONE and each.is_open]


type Decide = Callable[[Resource, Live | None, bool], Change]


def plan(stack: Sequence[Resource], session: Session, decide: Decide) -> Plan:
    """Reads everything, at once, and decides about each. Makes no write.

    Raises KeyboardInterrupt.
    """
    work = Work(session.cloud, session.retry(), session.facts, Reads())

    def look(resource: Resource) -> Change | CloudError:
        try:
            return decide(resource, resource.read(work), session.adopt)
        except CloudError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        try:
            looks = list(pool.map(look, stack))
        except (KeyboardInterrupt, Stopped):
            session.stop.set()
            raise KeyboardInterrupt from None
    changes = [each for each in looks if isinstance(each, Change)]
    failures = [
        (resource, each)
        for resource, each in zip(stack, looks, strict=True)
        if isinstance(each, CloudError)
    ]
    return session.narrow(Plan(changes, failures))


def to_converge(resource: Resource, live: Live | None, adopt: bool) -> Change:
    """What makes a resource what is declared."""
    if live is None:
        return Change(resource, Action.CREATE, tuple(resource.made()))
    if is_foreign(resource, live) and not adopt:
        return Change(resource, Action.REFUSE, live=live, reason=foreign(resource, live))
    differences = tuple(resource.differences(live))
    if live.pending:
        return Change(resource, Action.WAIT, differences, live, live.pending)
    for each in differences:
        if each.path in resource.fixed:
            why = resource.fixed[each.path]
            told = spoken(resource, [each])[0]
            reason = f"{told.path} is {told.old} and should be {told.new}: {why}"
            return Change(resource, Action.REFUSE, differences, live, reason)
    action = Action.UPDATE if differences else Action.NONE
    return Change(resource, action, differences, live)


def to_remove(resource: Resource, live: Live | None, adopt: bool) -> Change:
    """What removes a resource that is ours; what is not stays."""
    if live is None:
        return Change(resource, Action.NONE)
    if resource.shared:
        return Change(resource, Action.NONE, live=live, reason="kept: others may use it")
    if resource.parted:
        return Change(resource, Action.NONE, live=live)
    if is_foreign(resource, live) and not adopt:
        return Change(resource, Action.NONE, live=live, reason=f"kept: {owner(live.labels or {})}")
    if live.protected:
        return Change(resource, Action.REFUSE, live=live, reason=live.protected)
    return Change(resource, Action.DELETE, live=live)


def is_foreign(resource: Resource, live: Live) -> bool:
    """Whether it is there and does not carry our mark."""
    return (
        live.labels is not None and not resource.shared and not owned(live.labels, resource.names)
    )


def foreign(resource: Resource, live: Live) -> str:
    """Why what is there is not touched, and what makes it ours."""
    environment = resource.names.environment.name
    return (
        f"{owner(live.labels or {})}. If it is this service's, take it over with\n"
        f"invoke provision --env {environment} --adopt"
    )
