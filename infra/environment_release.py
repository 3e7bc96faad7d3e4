"""The part of an environment's file that says how a new revision gets its traffic."""

from typing import Self

from pydantic import Field, model_validator

from infra.environment_fields import Percent, Seconds, Section, Status, UrlPath, fault

# Google's front end keeps it for itself, as it does other paths that end so.
# https://cloud.google.com/run/docs/known-issues
KEPT = "/healthz"


class Release(Section):
    """How a new revision gets its traffic."""

    canary: list[Percent] = Field(
        default=[],
        description="Percents of the traffic it gets on the way to 100, watched at each step.",
    )
    bake: Seconds = Field(
        default=60,
        description="How long each step of the canary is watched: seconds, or like 90s or 2m.",
    )
    checks: dict[UrlPath, Status] = Field(
        default={},
        description="Path: status that it has to answer before it gets any traffic, besides "
        "/health: 200.",
    )

    @model_validator(mode="after")
    def _climbs(self) -> Self:
        if self.canary != sorted(set(self.canary)):
            raise fault(
                "must climb from step to step (got {got})", at="canary", got=str(self.canary)
            )
        return self

    @model_validator(mode="after")
    def _reaches_the_service(self) -> Self:
        for path in self.checks:
            if path.partition("?")[0] == KEPT:
                raise fault("{path} never reaches the service", at="checks", path=path)
        return self
