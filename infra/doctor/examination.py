"""All checks at once, told in their order.

Who calls is found out first: without somebody to call as, what needs Google is skipped.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from infra.doctor.base import Context, Finding, State, Unreadable, skipped
from infra.doctor.builds import agents, connection
from infra.doctor.database import connections
from infra.doctor.login import login
from infra.doctor.permissions import permissions
from infra.doctor.places import quotas, region, tier
from infra.doctor.project import apis, billing, project

type Check = Callable[[Context], list[Finding]]

CHECKS: tuple[Check, ...] = (
    project,
    billing,
    apis,
    permissions,
    connection,
    agents,
    region,
    tier,
    quotas,
    connections,
)
OFFLINE: tuple[Check, ...] = (connections,)
"""What asks Google nothing."""


def examine(context: Context) -> Iterator[Finding]:
    """Every check's findings, as soon as those before it are told."""
    first = login(context)
    yield from first
    is_in = all(each.state is not State.FAILED for each in first)
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        running = [
            pool.submit(look, check, context) if is_in or check in OFFLINE else None
            for check in CHECKS
        ]
        for check, findings in zip(CHECKS, running, strict=True):
            if findings is None:
                yield skipped(check.__name__, "there is nobody to ask as")
            else:
                yield from findings.result()


def look(check: Check, context: Context) -> list[Finding]:
    """What a check finds; what it can't read is skipped."""
    try:
        return check(context)
    except Unreadable as error:
        return [skipped(check.__name__, f"could not be read: {error}")]
