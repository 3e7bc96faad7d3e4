"""What is declared and what is there → what has to change, field by field, before any write.

All that has to be read is read first, each thing once, whoever asks for it; the decisions are made
of the answers alone.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from threading import Event as Flag

from infra.caller import member
from infra.clock import SYSTEM, Clock
from infra.cloud import Cloud
from infra.events import Event, Field
from infra.graph import reversed_needs
from infra.resources.base import Difference, Live, Reads, Resource, Work, owner
from infra.rest import Request
from infra.retry import CloudError, Retry, Stopped, Waiting, ignore

READERS = 64
"""Reads are short and cost Google little; it is the writes that --forks is about."""
KEPT_DATA = "it is data (--keep-data)"


class Action(StrEnum):
    """What is done about a resource."""

    NONE = "none"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    REFUSE = "refuse"
    WAIT = "wait"
    """Google is still at work on it: wait, and decide again."""


GONE = {Action.DELETE, Action.REFUSE}


@dataclass(frozen=True)
class Change:
    """What is done about a resource, and why."""

    resource: Resource
    action: Action
    differences: tuple[Difference, ...] = ()
    live: Live | None = None
    reason: str = ""
    removing: bool = False
    """Whether it is a part of the service's removal."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields that change."""
        return tuple(Field(each.path, each.old, each.new) for each in self.differences)


@dataclass
class Session:
    """One command's dealings with a cloud."""

    cloud: Cloud
    emit: Callable[[Event], None]
    adopt: bool = False
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
        return [change for change in self.changes if change.action is Action.REFUSE]

    @property
    def due(self) -> list[Change]:
        """What has to change."""
        return [change for change in self.changes if change.action is not Action.NONE]


type Decide = Callable[[Resource, Live | None, bool, Change | None], Change]
"""Decides about a resource: by what is there, whether it may be adopted, and what was decided about
its parent."""


def plan(stack: Sequence[Resource], session: Session, decide: Decide, forks: int = READERS) -> Plan:
    """Reads everything, at once, at most `forks` things at a time, and decides about each.

    The stack may be that of several services: what they ask alike is read once. Makes no write.
    Raises KeyboardInterrupt.
    """
    work = Work(session.cloud, session.retry(), session.facts, Reads())
    fetch_all(stack, work, forks)
    changes: dict[int, Change] = {}
    failures: list[tuple[Resource, CloudError]] = []
    for resource in stack:
        above = changes.get(id(resource.parent))
        try:
            live = work.look(resource)
        except CloudError as error:
            failures.append((resource, error))
        else:
            changes[id(resource)] = decide(resource, live, session.adopt, above)
    return Plan(list(changes.values()), failures)


def fetch_all(stack: Sequence[Resource], work: Work, forks: int) -> None:
    """Reads what the resources ask for into the shared answers, failures too."""
    titles: dict[Request, str] = {}
    for resource in stack:
        for ask in resource.asks().values():
            titles.setdefault(ask.request, ask.title)
    reads = work.reads or Reads()

    def fetch(request: Request) -> None:
        with suppress(CloudError):
            reads.once(request, lambda: work.fetch(titles[request], request))

    work.cloud.rest.connect()
    with ThreadPoolExecutor(max(1, min(forks, len(titles)))) as pool:
        try:
            list(pool.map(fetch, titles))
        except (KeyboardInterrupt, Stopped):
            work.retry.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise KeyboardInterrupt from None


def order(changes: Mapping[str, Change], *, removing: bool) -> dict[str, set[str]]:
    """What each change comes after, by the keys of their resources."""
    needs = {
        key: {need.key for need in change.resource.needs if need.key in changes}
        for key, change in changes.items()
    }
    if not removing:
        return needs
    after = reversed_needs(needs)
    for key, change in changes.items():
        after[key] |= {each.key for each in change.resource.outlives if each.key in changes}
    return after


def to_converge(
    resource: Resource, live: Live | None, adopt: bool, parent: Change | None = None
) -> Change:
    """What makes a resource what is declared."""
    if live is None:
        return Change(resource, Action.CREATE, tuple(resource.made()))
    if not resource.is_ours(live) and not adopt:
        return Change(resource, Action.REFUSE, live=live, reason=foreign(resource, live))
    differences = tuple(resource.differences(live))
    if live.pending:
        return Change(resource, Action.WAIT, differences, live, live.pending)
    for each in differences:
        if each.path in resource.fixed:
            why = resource.fixed[each.path]
            reason = f"{each.path} is {each.old} and should be {each.new}: {why}"
            return Change(resource, Action.REFUSE, differences, live, reason)
    action = Action.UPDATE if differences else Action.NONE
    return Change(resource, action, differences, live)


def to_remove(
    resource: Resource,
    live: Live | None,
    adopt: bool,
    parent: Change | None = None,
    *,
    keep_data: bool = False,
) -> Change:
    """What removes a resource that is ours; what is not stays, and what others use."""
    if live is None or live.empty:
        return Change(resource, Action.NONE, live=live, removing=True)
    # Nobody has to do anything for what is not to be used.
    keep = Change(resource, Action.NONE, live=replace(live, waiting=""), removing=True)
    stays = keep_data and resource.data
    if resource.parent and not stays and (parent is None or parent.action in GONE):
        return keep
    reason = f"kept: {why}" if (why := why_kept(resource, live, adopt, stays)) else ""
    left = () if stays else tuple(resource.taken_back(live))
    if reason or left:
        action = Action.UPDATE if left else Action.NONE
        return replace(keep, action=action, differences=left, reason=reason)
    if live.protected:
        return replace(keep, action=Action.REFUSE, reason=live.protected)
    return replace(keep, action=Action.DELETE)


def why_kept(resource: Resource, live: Live, adopt: bool, stays: bool) -> str:
    """Why something stays when the service goes, "" when it goes too."""
    if stays:
        return KEPT_DATA
    if not resource.is_ours(live) and not adopt:
        return owner(live.labels or {})
    return live.kept


def foreign(resource: Resource, live: Live) -> str:
    """Why what is there is not touched, and what makes it ours."""
    environment = resource.names.environment.name
    return (
        f"{owner(live.labels or {})}. If it is this service's, take it over with\n"
        f"invoke provision --env {environment} --adopt"
    )
