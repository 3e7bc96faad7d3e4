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
from infra.outcome import Outcome
from infra.project import ProjectError
from infra.resources.base import Difference, Live, Reads, Resource, Work, owner
from infra.rest import Request
from infra.retry import CloudError, Retry, Stopped, Waiting, ignore
from infra.terms import spoken

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
    left_out: bool = False
    """Whether it is only looked at: it is left out of the run, and what is in it needs it."""
    blocked: str = ""
    """Why it is not carried out, when something that it needs is left out and not as declared."""
    removing: bool = False
    """Whether it is a part of the service's removal."""

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
    abandon: Callable[[], Outcome | None] = lambda: None
    """Takes no more notice of what is in flight, and tells it. Returns how far it came."""
    give_back: Callable[[], object] = lambda: None
    """Gives the lease back, if it is held, whatever is still in flight."""

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


type Decide = Callable[[Resource, Live | None, bool, Change | None], Change]
"""Decides about a resource: by what is there, whether it may be adopted, and what was decided about
its parent."""


@dataclass(frozen=True)
class Part:
    """One service's part of a run: its resources, and the dealings about them."""

    stack: Sequence[Resource]
    session: Session


def plan(stack: Sequence[Resource], session: Session, decide: Decide, forks: int = READERS) -> Plan:
    """Reads everything, at once, at most `forks` things at a time, and decides about each.

    Makes no write. Raises KeyboardInterrupt, and ProjectError for a manifest that is wrong.
    """
    (planned,) = plan_all([Part(stack, session)], decide, forks)
    return planned


def plan_all(parts: Sequence[Part], decide: Decide, forks: int = READERS) -> list[Plan]:
    """The plans of several services; what they ask alike is read once.

    Raises what `plan` raises: ProjectError with the faults of all services.
    """
    shared: dict[int, Reads] = {}
    works = [
        Work(
            part.session.cloud,
            part.session.retry(),
            part.session.facts,
            # Two callers may not be told the same.
            shared.setdefault(id(part.session.cloud.made), Reads()),
        )
        for part in parts
    ]
    for reads in shared.values():
        same = [index for index, work in enumerate(works) if work.reads is reads]
        fetch_all([each for index in same for each in parts[index].stack], works[same[0]], forks)
    plans: list[Plan] = []
    faults: list[str] = []
    for part, work in zip(parts, works, strict=True):
        try:
            plans.append(decide_all(part, work, decide))
        except ProjectError as error:
            if len(parts) == 1:
                raise
            faults.append(f"{part.session.cloud.names.name}: {error}")
    if faults:
        raise ProjectError("\n".join(faults))
    return plans


def decide_all(part: Part, work: Work, decide: Decide) -> Plan:
    """The plan of a service, of what has been read."""
    changes: dict[int, Change] = {}
    failures: list[tuple[Resource, CloudError]] = []
    for resource in part.stack:
        above = changes.get(id(resource.parent))
        try:
            live = work.look(resource)
        except CloudError as error:
            failures.append((resource, error))
        else:
            changes[id(resource)] = decide(resource, live, part.session.adopt, above)
    return part.session.narrow(Plan(list(changes.values()), failures))


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
            told = spoken(resource, [each])[0]
            reason = f"{told.path} is {told.old} and should be {told.new}: {why}"
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
