"""Faults by rule: which calls are answered wrongly, late or not at all, and how often it happened.

What a rule's fault does is elsewhere: to an answer in server.py, to what a handler begins in
faults_effects.py, a foreign writer's changes in faults_races.py. Rules are gone at a restart.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from infra.emulator import errors
from infra.emulator.errors import CODES, GoogleError

_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MESSAGE = "This failure was asked for (POST /emulator/faults)."


def _known(name: str) -> str:
    if name and name not in CODES:
        raise ValueError(f"must be one of google.rpc.Code's: {', '.join(CODES)}")
    return name


def _wrong(field: str, why: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{why}", {"field": field, "why": why})


type Name = Annotated[str, AfterValidator(_known)]
type Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Rule(BaseModel):
    """Which calls: those that fit all of what is given."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    method: str = Field("*", min_length=1)
    path: str = Field("*", min_length=1)
    write: bool | None = None
    nth: int | None = Field(None, ge=1)
    first: int | None = Field(None, ge=1)
    probability: float | None = Field(None, gt=0, le=1)
    seed: int = 0
    times: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_choice(self) -> "_Rule":
        if self.nth is not None and self.first is not None:
            raise _wrong("first", "nth and first exclude each other")
        return self

    def fits(self, method: str, path: str, *, write: bool) -> bool:
        """Whether it is about such a call."""
        return (
            self.write in (None, write)
            and fnmatchcase(method, self.method)
            and fnmatchcase(path, self.path)
        )


class ErrorFault(_Rule):
    """Answers an error instead of carrying the call out, or `after` it has been carried out."""

    kind: Literal["error"]
    status: int = Field(503, ge=400, le=599)
    name: Name = ""
    message: str = _MESSAGE
    reason: str | None = None
    after: bool = False

    def error(self) -> GoogleError:
        """What is answered."""
        name = self.name or _NAMES.get(self.status, "INTERNAL" if self.status >= 500 else "UNKNOWN")
        return GoogleError(self.status, name, self.message, self.reason)


class ResetFault(_Rule):
    """Cuts the connection, before or after the call has been carried out."""

    kind: Literal["reset"]
    after: bool = False


class DelayFault(_Rule):
    """Answers later, by real seconds."""

    kind: Literal["delay"]
    seconds: Seconds


class OperationFault(_Rule):
    """The long-running operation that the call starts fails, hangs, or takes its time."""

    kind: Literal["operation"]
    name: Name = ""
    message: str = _MESSAGE
    hang: bool = False
    seconds: Seconds = 0

    @model_validator(mode="after")
    def _something(self) -> "OperationFault":
        if not (self.name or self.hang or self.seconds):
            raise _wrong("name", "one of name (it fails with it), hang and seconds is needed")
        return self


class LateFault(_Rule):
    """What the call grants, creates, enables or disables takes effect later."""

    kind: Literal["late"]
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class RaceFault(_Rule):
    """A foreign writer changes the resource just before the call does."""

    kind: Literal["race"]


class HangFault(_Rule):
    """Holds the call until the rule is deleted or the client is gone."""

    kind: Literal["hang"]
    after: bool = False


type Rule = (
    ErrorFault | ResetFault | DelayFault | OperationFault | LateFault | RaceFault | HangFault
)
_KINDS = ("error", "reset", "delay", "operation", "late", "race", "hang")
_RULE: TypeAdapter[Rule] = TypeAdapter(Annotated[Rule, Field(discriminator="kind")])


@dataclass
class Fault:
    """A rule in force, and what has come of it."""

    id: str
    rule: Rule
    released: threading.Event = field(default_factory=threading.Event)
    matched: int = 0
    used: int = 0
    holding: int = 0
    _random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._random.seed(self.rule.seed)

    def strikes(self) -> bool:
        """Counts a call that the rule fits; returns whether the fault happens to it."""
        self.matched += 1
        rule = self.rule
        strikes = (
            (rule.nth is None or self.matched == rule.nth)
            and (rule.first is None or self.matched <= rule.first)
            and (rule.probability is None or self._random.random() < rule.probability)
            and (rule.times is None or self.used < rule.times)
        )
        self.used += strikes
        return strikes

    def to_json(self) -> dict[str, Any]:
        """Returns the rule with what has come of it."""
        given = self.rule.model_dump(exclude_unset=True)
        counts = {"matched": self.matched, "used": self.used, "holding": self.holding}
        return {"id": self.id, "rule": given, **counts}


class Faults:
    """The rules in force, in the order they were made. Safe from any thread."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._made = 0
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Callable[[], object]]] = {}

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, given: object) -> Fault:
        """Puts a rule in force. Raises GoogleError 400 that names the field."""
        rule = parse(given)
        with self._lock:
            self._made += 1
            fault = Fault(str(self._made), rule)
            self._faults[fault.id] = fault
        return fault

    def strike(self, method: str, path: str, *, write: bool) -> list[Fault]:
        """Counts a call; returns the faults that happen to it."""
        with self._lock:
            return [
                fault
                for fault in self._faults.values()
                if fault.rule.fits(method, path, write=write) and fault.strikes()
            ]

    def spare(self, fault: Fault) -> None:
        """Takes back that a fault happened: there was nothing for it to do."""
        with self._lock:
            fault.used -= 1

    def remove(self, key: str = "") -> None:
        """Ends a rule, or all; who is held goes on. Raises GoogleError 404."""
        with self._lock:
            if key and key not in self._faults:
                raise errors.not_found(f"There is no fault {key}: GET /emulator/faults lists them.")
            ended = [self._faults.pop(one) for one in ([key] if key else list(self._faults))]
            listeners = [call for one in ended for call in self._listeners.pop(one.id, ())]
        for one in ended:
            one.released.set()
        for call in listeners:
            call()

    def on_release(self, fault: Fault, call: Callable[[], object]) -> None:
        """Has something called when a rule ends, at once if it has."""
        with self._lock:
            if not fault.released.is_set() and fault.id in self._faults:
                self._listeners.setdefault(fault.id, []).append(call)
                return
        call()

    def to_json(self) -> dict[str, Any]:
        """Returns all rules, the oldest first."""
        with self._lock:
            return {"faults": [fault.to_json() for fault in self._faults.values()]}


def parse(given: object) -> Rule:
    """Returns a rule of its JSON. Raises GoogleError 400 that names the field."""
    try:
        return _RULE.validate_python(given)
    except ValidationError as error:
        failure = error.errors(include_url=False)[0]
        # A rule's fields are below the name of its kind.
        place = [str(part) for part in failure["loc"][1:]]
        where = ".".join(place) or failure.get("ctx", {}).get("field", "kind")
        said = failure["msg"].removeprefix("Value error, ")
        if failure["type"].startswith("union_tag"):
            where, said = "kind", f"must be one of {', '.join(_KINDS)}"
        raise errors.invalid(f"Invalid {where} of a fault: {said}.", where) from None
