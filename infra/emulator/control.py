"""What the emulator itself answers under /emulator/: its journal, faults, latency and clock.

Pushes to Git hosts it passes on. Nothing of Google's is here. A wrong value is a 400 that names its
field.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.emulator import clock, errors
from infra.emulator.faults import Faults
from infra.emulator.journal import Journal
from infra.emulator.world import World

type Answer = dict[str, Any]

MOST_MILLISECONDS = 600_000


@dataclass
class Pace:
    """What each call takes at least, in milliseconds, and operations, in the cloud's seconds."""

    milliseconds: float
    durations: dict[str, float]


class Control:
    """Answers by method and path."""

    def __init__(
        self,
        world: World,
        journal: Journal,
        faults: Faults,
        pace: Pace,
        push: Callable[[Answer], Answer],
    ) -> None:
        self._world = world
        self._journal = journal
        self._faults = faults
        self._pace = pace
        self._routes: dict[tuple[str, str], Callable[[Answer, Mapping[str, str]], Answer]] = {
            ("GET", "journal"): self._calls,
            ("GET", "journal/count"): lambda _, query: journal.counts(_number(query, "since")),
            ("DELETE", "journal"): self._forget,
            ("GET", "faults"): lambda _, __: faults.to_json(),
            ("POST", "faults"): lambda body, _: faults.add(body).to_json(),
            ("DELETE", "faults"): lambda _, __: self._release(""),
            ("GET", "latency"): lambda _, __: {"milliseconds": pace.milliseconds},
            ("PUT", "latency"): self._set_latency,
            ("GET", "durations"): lambda _, __: dict(pace.durations),
            ("PUT", "durations"): self._set_durations,
            ("GET", "clock"): lambda _, __: self._time(),
            ("PUT", "clock"): self._set_clock,
            ("POST", "clock"): self._advance,
            ("POST", "push"): lambda body, _: push(body),
        }

    def answer(self, verb: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        """Returns the answer to a call. Raises GoogleError, 404 where nothing is."""
        place = path.removeprefix("/emulator/")
        if verb == "DELETE" and place.startswith("faults/"):
            return self._release(place.removeprefix("faults/"))
        route = self._routes.get((verb, place))
        if route is None:
            known = sorted({f"{one} /emulator/{name}" for one, name in self._routes})
            raise errors.not_found(f"There is no {verb} {path}. There are: {', '.join(known)}.")
        return route(_json(body), query)

    def _calls(self, _: Answer, query: Mapping[str, str]) -> Answer:
        writes = query.get("writes", "false") == "true"
        return self._journal.to_json(_number(query, "since"), writes=writes)

    def _forget(self, _: Answer, __: Mapping[str, str]) -> Answer:
        self._journal.clear()
        return {}

    def _release(self, key: str) -> Answer:
        self._faults.remove(key)
        return {}

    def _set_latency(self, body: Answer, _: Mapping[str, str]) -> Answer:
        given = _only(body, "milliseconds")
        self._pace.milliseconds = seconds_of(given, "milliseconds", MOST_MILLISECONDS)
        return {"milliseconds": self._pace.milliseconds}

    def _set_durations(self, body: Answer, _: Mapping[str, str]) -> Answer:
        found = {pattern: seconds_of(value, pattern) for pattern, value in body.items()}
        self._pace.durations = found
        return dict(found)

    def _time(self) -> Answer:
        now = self._world.clock.time()
        return {"virtual": self._world.clock.virtual, "now": now, "time": clock.text(now)}

    def _set_clock(self, body: Answer, _: Mapping[str, str]) -> Answer:
        virtual = _only(body, "virtual")
        if not isinstance(virtual, bool):
            raise errors.invalid("Invalid virtual: it must be true or false.", "virtual")
        if virtual:
            self._world.clock.freeze()
        else:
            self._world.clock.run()
        return self._time()

    def _advance(self, body: Answer, _: Mapping[str, str]) -> Answer:
        target = _only(body, "advance_to")
        if isinstance(target, str):
            try:
                target = clock.parse(target)
            except ValueError as error:
                raise errors.invalid(f"Invalid advance_to: {error}", "advance_to") from None
        seconds = seconds_of(target, "advance_to", clock.LAST)
        try:
            self._world.advance(seconds)
        except ValueError:
            raise errors.precondition(
                'The clock runs by itself: PUT /emulator/clock {"virtual": true} stops it.'
            ) from None
        return self._time()


def seconds_of(value: object, field: str, most: float = math.inf) -> float:
    """Returns a number that is not negative. Raises GoogleError 400 that names its field."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= float(value) <= most:  # type: ignore[arg-type]
        limit = "" if math.isinf(most) else f" and at most {most:.0f}"
        raise errors.invalid(
            f"Invalid {field}: {value!r} must be a number, at least 0{limit}.", field
        )
    return float(value)  # type: ignore[arg-type]


def _only(body: Answer, field: str) -> Any:
    for name in body.keys() - {field}:
        raise errors.invalid(f"Unknown field {name}: there is only {field}.", name)
    if field not in body:
        raise errors.invalid(f"The field {field} is missing.", field)
    return body[field]


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "0")
    if not text.isdecimal():
        raise errors.invalid(f"Invalid {name}: {text!r} is no number.", name)
    return int(text)


def _json(body: bytes) -> Answer:
    try:
        given = json.loads(body) if body.strip() else {}
    except ValueError as error:
        raise errors.invalid(f"Invalid JSON: {error}", "body") from None
    if not isinstance(given, dict):
        raise errors.invalid("The body must be a JSON object.", "body")
    return given
