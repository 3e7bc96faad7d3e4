"""How a revision gets the traffic: as its environment says, but for what the options say."""

# ruff: noqa: PLC0415

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.project import ProjectError

if TYPE_CHECKING:
    from infra.environment_release import Release

CANARY = "Percents of the traffic on the way to 100, as 10,50: instead of the environment's."
BAKE = "How long each step of the canary is watched, as 60s or 2m: instead of the environment's."
ALL = 100


@dataclass(frozen=True)
class Pace:
    """The steps below 100, the seconds each of them is watched, and the status that each path has
    to answer before."""

    canary: Sequence[int]
    bake: int
    checks: Mapping[str, int]

    @classmethod
    def of(cls, release: "Release", canary: str | None = None, bake: str | None = None) -> "Pace":
        """What the environment says, but for what the options say. Raises ProjectError."""
        return cls(
            release.canary if canary is None else percents(canary),
            release.bake if bake is None else duration(bake),
            release.checks,
        )


AT_ONCE = Pace((), 0, {})


def percents(text: str) -> list[int]:
    """The steps of --canary below 100, which is the last of any. Raises ProjectError."""
    try:
        steps = [int(each) for each in text.replace("%", "").split(",") if each.strip()]
    except ValueError:
        steps = [0]
    if steps != sorted(set(steps)) or not all(1 <= each <= ALL for each in steps):
        raise ProjectError(
            f"--canary must be percents that climb, with commas between, like 10,50 (got {text!r})"
        )
    return [each for each in steps if each < ALL]


def duration(text: str) -> int:
    """The seconds of --bake. Raises ProjectError."""
    from pydantic import TypeAdapter, ValidationError

    from infra.environment_fields import Seconds

    try:
        return TypeAdapter[int](Seconds).validate_python(text)
    except ValidationError:
        raise ProjectError(
            f"--bake must be a time of an hour at most, like 60s or 2m (got {text!r})"
        ) from None
