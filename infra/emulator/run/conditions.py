"""Conditions, as Cloud Run reports what state something is in."""

from collections.abc import Iterable
from datetime import datetime

from google.cloud import run_v2

from infra.emulator.errors import GoogleError, error
from infra.emulator.runtime import StartError

type State = run_v2.Condition.State
type Reason = run_v2.Condition.CommonReason

_STATE = run_v2.Condition.State
_COMMON = run_v2.Condition.CommonReason
RECONCILING = _STATE(_STATE.CONDITION_RECONCILING)
FAILED, SUCCEEDED = _STATE(_STATE.CONDITION_FAILED), _STATE(_STATE.CONDITION_SUCCEEDED)


def condition(
    kind: str,
    state: State,
    now: datetime,
    message: str = "",
    common: Reason | None = None,
) -> run_v2.Condition:
    """A condition; `reason` is one of the common ones."""
    made = run_v2.Condition(type_=kind, state=state, message=message, last_transition_time=now)
    if common:
        made.reason = common
    return made


def all_of(
    kinds: Iterable[str],
    state: State,
    now: datetime,
    message: str = "",
    common: Reason | None = None,
) -> list[run_v2.Condition]:
    """Several conditions in the same state."""
    return [condition(kind, state, now, message, common) for kind in kinds]


def active(is_active: bool, now: datetime) -> run_v2.Condition:
    """Whether a revision serves, as Google's recordings have it."""
    if is_active:
        return condition("Active", SUCCEEDED, now)
    return run_v2.Condition(
        type_="Active",
        state=FAILED,
        severity=run_v2.Condition.Severity.INFO,
        revision_reason=run_v2.Condition.RevisionReason.RETIRED,
        message="Revision retired.",
        last_transition_time=now,
    )


def reason_of(failure: StartError) -> Reason:
    """The common reason of an instance that could not start."""
    names = _COMMON.__members__
    return _COMMON(names.get(failure.reason, _COMMON.REVISION_FAILED))


def as_google(failure: StartError, message: str) -> GoogleError:
    """What the operation ends with when an instance could not start."""
    status = {
        "CONTAINER_MISSING": "NOT_FOUND",
        "SECRETS_ACCESS_CHECK_FAILED": "PERMISSION_DENIED",
    }.get(failure.reason, "FAILED_PRECONDITION")
    return error(status, message)
