"""A cloud made what is declared, by one run at a time: plan, lease, plan again, apply.

Without a difference nothing is written, the lease neither. What the lease is kept in, the bucket
and the APIs it needs, is made first where it is missing. What is printed is the caller's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Thread

from infra import lease
from infra.apply import apply, leave, preview, refuse
from infra.events import Status
from infra.outcome import Outcome
from infra.plan import Action, Decide, Part, Plan, Session, plan, to_converge, to_remove
from infra.resources.base import Resource
from infra.retry import Stopped

BUCKET = "bucket"


@dataclass(frozen=True)
class Lock:
    """How the lease is taken."""

    command: str
    """What runs, for whoever finds the lease held."""
    timeout: float = 0
    """Seconds to wait for whoever holds it."""
    ttl: float = lease.TTL_SECONDS
    tell: Callable[[str], None] = lambda text: None


def check(resources: Sequence[Resource], session: Session) -> Outcome:
    """What `converge` would do, told and not done."""
    return preview(plan(resources, session, to_converge), session)


def converge(resources: Sequence[Resource], session: Session, lock: Lock) -> Outcome:
    """Converges the resources. Raises LeaseError, and CloudError when it can't be taken.

    Interrupted it returns how far it came; nothing is touched when something is refused or can't
    be read.
    """
    try:
        planned = plan(resources, session, to_converge)
    except KeyboardInterrupt:
        return Outcome({}, interrupted=True)
    return carry_out(planned, Part(resources, session), lock)


def carry_out(planned: Plan, part: Part, lock: Lock) -> Outcome:
    """Carries out the plan of a service, planned anew under the lease. Raises as `converge`."""
    resources, session = part.stack, part.session
    try:
        if planned.refused or planned.failures:
            return refuse(planned, session)
        if not planned.due:
            return apply(planned, session)
        ground = foundation(planned)
        if ground.due:
            # The bucket's client takes longer to import than the APIs to be enabled.
            Thread(target=getattr, args=(session.cloud, "storage"), daemon=True).start()
        before = apply(ground, session) if ground.due else Outcome({})
        if not is_well(before):
            return leave(planned, session, before)
        return under_lease(lambda: again(resources, session, before), session, lock)
    except KeyboardInterrupt:
        return Outcome({}, interrupted=True)


def again(resources: Sequence[Resource], session: Session, before: Outcome) -> Outcome:
    """Plans anew, for whoever held the lease may have changed all, and applies."""
    planned = plan(resources, session, to_converge)
    if planned.refused or planned.failures:
        outcome = refuse(planned, session)
        outcome.refused = not before.count(Status.CHANGED)
        outcome.statuses = {**before.statuses, **outcome.statuses}
        return outcome
    return apply(planned, session, before)


def remove(planned: Plan, session: Session, lock: Lock, decide: Decide = to_remove) -> Outcome:
    """Removes what a plan, of these decisions, says.

    Raises LeaseError, and CloudError when it can't be taken. The bucket goes last, and the lease
    with it; without a bucket there is no lease to take.
    """
    resources = [each.resource for each in planned.changes]

    def removal() -> Outcome:
        fresh = plan(resources, session, decide)
        if fresh.refused or fresh.failures:
            return refuse(fresh, session)
        return apply(fresh, session)

    has_bucket = any(
        each.resource.kind == BUCKET and each.action is Action.DELETE for each in planned.changes
    )
    try:
        if not planned.due or not has_bucket:
            return apply(planned, session)
        return under_lease(removal, session, lock, may_vanish=True)
    except KeyboardInterrupt:
        return Outcome({}, interrupted=True)


def under_lease(
    work: Callable[[], Outcome], session: Session, lock: Lock, *, may_vanish: bool = False
) -> Outcome:
    """Does the work while the lease is ours."""
    if session.stop.is_set():
        return Outcome({}, interrupted=True)
    try:
        with lease.held(
            session.cloud,
            lock.command,
            stop=session.stop,
            timeout=lock.timeout,
            ttl=lock.ttl,
            may_vanish=may_vanish,
            tell=lock.tell,
            clock=session.clock,
        ) as ours:
            session.give_back = ours.release
            outcome = work()
            outcome.lost = ours.lost
            bucket = f"{BUCKET} {session.cloud.names.bucket}"
            ours.vanished = may_vanish and outcome.statuses.get(bucket) is Status.CHANGED
    except Stopped:
        return Outcome({}, interrupted=True)
    return outcome


def foundation(planned: Plan) -> Plan:
    """The part of a plan that makes the bucket, and what the bucket needs; empty if it is there."""
    made = [
        each.resource
        for each in planned.changes
        if each.resource.kind == BUCKET and each.action is Action.CREATE
    ]
    keys = {key for each in made for key in with_needs(each)}
    return replace(planned, changes=[each for each in planned.changes if each.resource.key in keys])


def with_needs(resource: Resource) -> set[str]:
    """The keys of a resource and of all that it needs."""
    return {resource.key}.union(*(with_needs(each) for each in resource.needs))


def is_well(outcome: Outcome) -> bool:
    """Whether all of it is as declared."""
    return set(outcome.statuses.values()) <= {Status.OK, Status.CHANGED}
