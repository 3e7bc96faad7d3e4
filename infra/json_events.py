"""Events as `--json` writes them: the models that docs/events.schema.json is generated from.

A reader of version 1 must skip fields and events it does not know; what is there stays as it is.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from infra import events
from infra.events import Status

DIGITS = 3
DIALECT = "https://json-schema.org/draft/2020-12/schema"

type Json = str | int | float | bool | list[Json] | dict[str, Json] | None
type Seconds = Annotated[float, Field(ge=0)]
type Action = Literal["none", "create", "update", "delete", "refuse", "wait"]


class Line(BaseModel):
    """One event, on one line."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)

    @property
    def line(self) -> str:
        """It as JSON, without a line break; what it is comes first."""
        fields = self.model_dump(mode="json")
        return json.dumps({"event": fields.pop("event"), **fields}, ensure_ascii=False)


class Header(Line):
    """The first line: which version of this format follows."""

    event: Literal["header"] = "header"
    version: Literal[1] = 1
    command: str = Field(description="The command: provision or destroy.")
    check: bool = Field(description="Whether it only says what it would do.")
    at: datetime = Field(
        default_factory=lambda: datetime.now(UTC), description="When the command began, in UTC."
    )


class Timed(Line):
    """Any event but the first."""

    time: Seconds = Field(description="Seconds since the command began.")

    @staticmethod
    def of(event: events.Told, time: float) -> "Timed":
        """The line of an event."""
        time = round(time, DIGITS)
        match event:
            case events.Begun():
                return Plan.begun(event, time)
            case events.Started():
                return Started.started(event, time)
            case events.Waited():
                return Waiting.waited(event, time)
            case events.Finished():
                return Finished.finished(event, time)
            case events.Ended():
                return Recap.ended(event, time)
            case events.Failure():
                return Error(message=event.text, exit_status=event.exit_status, time=time)
            case _:
                assert_never(event)


def subject(event: events.ResourceEvent) -> dict[str, str]:
    """Which resource an event is about."""
    return {"service": event.service, "kind": event.kind, "name": event.name}


class Plan(Timed):
    """The plan of a service is begun."""

    event: Literal["plan"] = "plan"
    service: str
    environment: str
    project: str = Field(description="Id of the Google Cloud project.")

    @classmethod
    def begun(cls, event: events.Begun, time: float) -> "Plan":
        """The line of its event."""
        return cls(
            service=event.service, environment=event.environment, project=event.project, time=time
        )


class Subject(Timed):
    """What is said of a resource."""

    service: str
    kind: str = Field(description="Kind of the resource, such as: sql instance.")
    name: str = Field(description="Name of the resource, unique in its service and kind.")


class Started(Subject):
    """Work on a resource began."""

    event: Literal["started"] = "started"
    doing: str = Field(description="What is being done: creating, updating, deleting.")

    @classmethod
    def started(cls, event: events.Started, time: float) -> "Started":
        """The line of its event."""
        about = subject(event)
        return cls.model_validate({**about, "doing": event.doing, "time": time})


class Waiting(Subject):
    """Work on a resource takes long; said when what is waited for changes, and every 30 s."""

    event: Literal["waiting"] = "waiting"
    what: str = Field(description="What is waited for.")
    seconds: Seconds = Field(description="For how long already.")
    deadline: Seconds | None = Field(description="For how long at most; null where it is open.")

    @classmethod
    def waited(cls, event: events.Waited, time: float) -> "Waiting":
        """The line of its event."""
        return cls.model_validate(
            {
                **subject(event),
                "what": event.what,
                "seconds": round(event.seconds, DIGITS),
                "deadline": event.deadline or None,
                "time": time,
            }
        )


class Change(BaseModel):
    """A field that changes, in the words of the environment file where it has them."""

    model_config = ConfigDict(frozen=True)

    path: str = Field(description="The field, such as database.tier.")
    before: Json = Field(description='null: it was not there. Secrets are "(sensitive)".')
    after: Json = Field(description='null: it is taken away. Secrets are "(sensitive)".')


class Finished(Subject):
    """It ended with a resource: each has one of these, unless the run is interrupted."""

    event: Literal["finished"] = "finished"
    action: Action = Field(
        description="What was done; with --check, or when it failed, what was to be done."
    )
    status: Status
    reason: str = Field(description="What a person is told about it; may have several lines.")
    fields: list[Change]
    seconds: Seconds = Field(description="How long it took.")

    @classmethod
    def finished(cls, event: events.Finished, time: float) -> "Finished":
        """The line of its event."""
        return cls.model_validate(
            {
                **subject(event),
                "action": event.action,
                "status": event.status,
                "reason": event.text,
                "fields": [
                    Change(path=each.path, before=each.old, after=each.new) for each in event.fields
                ],
                "seconds": round(event.seconds, DIGITS),
                "time": time,
            }
        )


class Recap(Timed):
    """It ended with a service."""

    event: Literal["recap"] = "recap"
    service: str
    environment: str
    counts: dict[Status, int] = Field(description="How many resources ended how.")
    seconds: Seconds
    exit_status: int = Field(description="What the command exits with for this service alone.")

    @classmethod
    def ended(cls, event: events.Ended, time: float) -> "Recap":
        """The line of its event."""
        return cls(
            service=event.service,
            environment=event.environment,
            counts=dict(event.counts),
            seconds=round(event.seconds, DIGITS),
            exit_status=event.exit_status,
            time=time,
        )


class Error(Timed):
    """The command ends because of this; no resource is the reason, or not one alone."""

    event: Literal["error"] = "error"
    message: str = Field(description="What is wrong and what to do; may have several lines.")
    exit_status: int


type AnyEvent = Annotated[
    Header | Plan | Started | Waiting | Finished | Recap | Error, Field(discriminator="event")
]


def schema() -> dict[str, object]:
    """The JSON schema of one line."""
    made = TypeAdapter(AnyEvent).json_schema(mode="serialization")
    title = "An event of invoke provision --json, or of invoke destroy --json: one line each"
    return {"$schema": DIALECT, "title": title, **made}
