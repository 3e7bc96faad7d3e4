"""What Cloud Run says of something that is not well."""

from collections.abc import Iterable

from google.cloud import run_v2


def failed_conditions(conditions: Iterable[run_v2.Condition]) -> list[str]:
    """The messages of the conditions that failed, each once."""
    failed = [
        condition.message or condition.type_
        for condition in conditions
        if condition.state == run_v2.Condition.State.CONDITION_FAILED
    ]
    return list(dict.fromkeys(failed))


def why_not_ready(conditions: Iterable[run_v2.Condition], otherwise: str = "") -> str:
    """What failed, in Google's words; else the other ones."""
    return " ".join(failed_conditions(conditions)) or otherwise or "Cloud Run does not say why"
