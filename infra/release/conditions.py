"""What Cloud Run says of something that is not well."""

from collections.abc import Iterable

from google.cloud import run_v2

HARMLESS = (run_v2.Condition.Severity.INFO, run_v2.Condition.Severity.WARNING)


def failed_conditions(conditions: Iterable[run_v2.Condition]) -> list[str]:
    """The messages of the conditions that failed, each once.

    What is for information only is no failure: a revision without traffic is not Active, and one
    that has just got some may not have its least instances yet.
    """
    failed = [
        condition.message or condition.type_
        for condition in conditions
        if condition.state == run_v2.Condition.State.CONDITION_FAILED
        and condition.severity not in HARMLESS
    ]
    return list(dict.fromkeys(failed))


def why_not_ready(conditions: Iterable[run_v2.Condition], otherwise: str = "") -> str:
    """What failed, in Google's words; else the other ones."""
    return " ".join(failed_conditions(conditions)) or otherwise or "Cloud Run does not say why"
