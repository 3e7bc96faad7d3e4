"""What people tell the local cloud to do wrong: faults, latency, and its journal, over HTTP.

Turns the options of a command into a rule, and a rule back into the options that make it. Prints
nothing, and imports nothing of the emulator.
"""

import json
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from infra.project import ProjectError
from infra.tasks import local_cloud
from infra.tasks.local_cloud import HOST_VARIABLE, LocalCloudError

_PATIENCE = 30
_HANG = "hang"

# Options that decide on the kind of fault; each is a flag, or what its value becomes.
_KINDS = ("error", "reset", "delay", "operation", "late", "race", "hang")
_WHICH = ("method", "path", "write", "nth", "first", "probability", "seed", "times")
_WHOLE = ("error", "nth", "first", "seed", "times")
_PARTIAL = ("probability", "delay", "late")
# What goes with a kind only.
_ONLY = {
    "after": ("error", "reset", "hang"),
    "message": ("error", "operation"),
    "reason": ("error",),
    "name": ("error",),
}


class OptionError(ProjectError):
    """An option is wrong; the text names it and says what to give instead."""


@dataclass(frozen=True)
class Answer:
    """What the emulator said; `field` is the field that it complains about."""

    status: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        """What is wrong."""
        return str(self.body["error"]["message"])

    @property
    def field(self) -> str:
        """The field of the body that is wrong, or an empty string."""
        for detail in self.body["error"].get("details", ()):
            for violation in detail.get("fieldViolations", ()):
                return str(violation["field"])
        return ""


def host() -> str:
    """Where the emulator answers: what CLOUD_EMULATOR_HOST says, else this user's local cloud.

    Raises LocalCloudError when none runs.
    """
    if given := os.environ.get(HOST_VARIABLE):
        return given
    state = local_cloud.state_folder()
    found = local_cloud.find_running(state)
    if found is None:
        raise LocalCloudError(f"no local cloud runs on {state}. Start it: invoke emulator.start")
    return found.host


def push(body: dict[str, object]) -> dict[str, Any]:
    """Simulates a push to a Git host. Returns the commit, and the builds it started. Raises
    LocalCloudError with what the emulator says against it."""
    answer = ask("POST", "push", body)
    if answer.status != 200:
        raise LocalCloudError(answer.message)
    return answer.body


def ask(verb: str, path: str, body: object = None) -> Answer:
    """Asks the emulator under /emulator/. Raises LocalCloudError when it does not answer."""
    address = host()
    content = None if body is None else json.dumps(body).encode()
    try:
        with closing(HTTPConnection(address, timeout=_PATIENCE)) as connection:
            connection.request(verb, f"/emulator/{path}", content)
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read()))
    except (OSError, HTTPException, ValueError) as error:
        raise LocalCloudError(
            f"no emulator answers at {address}: {error}. Start one with invoke emulator.start, or"
            f" unset {HOST_VARIABLE}"
        ) from error


def faults() -> list[dict[str, Any]]:
    """The rules in force, each with how often it fitted a call and how often it happened."""
    found: list[dict[str, Any]] = ask("GET", "faults").body["faults"]
    return found


def add(options: Mapping[str, str | bool | None]) -> str:
    """Puts a fault in force and returns its id. Raises OptionError."""
    answer = ask("POST", "faults", rule_of(options))
    if answer.status != 200:
        raise OptionError(f"--{_option(answer.field, options)}: {answer.message}")
    return str(answer.body["id"])


def remove(fault: str) -> None:
    """Ends a fault, or all for an empty id. Raises OptionError for one that is not there."""
    answer = ask("DELETE", f"faults/{fault}" if fault else "faults")
    if answer.status != 200:
        raise OptionError(f"--clear: there is no fault {fault}; invoke emulator.fault lists them")


def latency(milliseconds: str) -> float:
    """Makes each call take so many milliseconds at least, and returns them. Raises OptionError."""
    given = {"milliseconds": _number("MS", milliseconds, whole=False)}
    answer = ask("PUT", "latency", given)
    if answer.status != 200:
        raise OptionError(f"MS: {answer.message}")
    return float(answer.body["milliseconds"])


def journal(*, writes: bool) -> list[str]:
    """A line for each call, the oldest first, and one with how many there were."""
    calls = ask("GET", f"journal?writes={'true' if writes else 'false'}").body["calls"]
    lines = [
        f"{one['status'] or 'cut'} {one['milliseconds']:8.2f} ms  {one['method'] or '(unknown)'}"
        f"  {one['http']} {one['path']}" + (f"  [fault {one['fault']}]" if one["fault"] else "")
        for one in calls
    ]
    written = sum(one["write"] for one in calls)
    return [*lines, f"{len(calls)} calls, {written} of them writes"]


def forget() -> None:
    """Empties the journal."""
    ask("DELETE", "journal")


def rule_of(options: Mapping[str, str | bool | None]) -> dict[str, object]:
    """The rule that options ask for, as the emulator takes it. Raises OptionError."""
    given = {name: value for name, value in options.items() if value not in (None, "", False)}
    kinds = [kind for kind in _KINDS if kind in given]
    if len(kinds) != 1:
        said = ", ".join(f"--{kind}" for kind in kinds) or "no fault"
        known = ", ".join(f"--{kind}" for kind in _KINDS)
        raise OptionError(f"{said}: give one of {known}")
    kind = kinds[0]
    for name, fitting in _ONLY.items():
        if name in given and kind not in fitting:
            these = " and ".join(f"--{one}" for one in fitting)
            raise OptionError(f"--{name} goes with {these} only, not with --{kind}")
    rule: dict[str, object] = {"kind": kind}
    for name in (*_WHICH, *_ONLY):
        if name in given:
            rule[name] = _typed(name, given[name])
    if kind == "operation":
        return rule | _operation(str(given[kind]))
    if kind == "error":
        rule["status"] = _typed(kind, given[kind])
    elif kind in _PARTIAL:
        rule["seconds"] = _typed(kind, given[kind])
    return rule


def spell(fault: Mapping[str, Any]) -> str:
    """A fault in a line: its id, the options that make it, and what has come of it."""
    rule = dict(fault["rule"])
    kind = rule.pop("kind")
    words = [f"--{kind}", *_values(kind, rule)]
    for name, value in rule.items():
        words += [f"--{name}"] if value is True else [f"--{name}", f"{value!r}"]
    held = f", holds {fault['holding']}" if fault["holding"] else ""
    counts = f"fitted {fault['matched']}, happened {fault['used']}{held}"
    return f"{fault['id']:>3}  {' '.join(words)}  ({counts})"


def _values(kind: str, rule: dict[str, Any]) -> list[str]:
    """Takes what the kind's option is followed by out of a rule."""
    if kind == "operation":
        if rule.pop(_HANG, False):
            return [_HANG]
        return [str(rule.pop("name", "") or rule.pop("seconds", ""))]
    if kind == "error":
        return [str(rule.pop("status", 503))]
    return [str(rule.pop("seconds"))] if "seconds" in rule else []


def _operation(text: str) -> dict[str, object]:
    if text == _HANG:
        return {_HANG: True}
    if text[:1].isdigit():
        return {"seconds": _number("--operation", text, whole=False)}
    return {"name": text.upper()}


def _typed(name: str, value: str | bool | None) -> object:
    if name in _WHOLE or name in _PARTIAL:
        return _number(f"--{name}", str(value), whole=name in _WHOLE)
    return value


def _number(option: str, text: str, *, whole: bool) -> float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        kind = "a whole number, such as 2" if whole else "a number, such as 0.5"
        raise OptionError(f"{option} takes {kind}, not {text!r}") from None


def _option(field: str, options: Mapping[str, str | bool | None]) -> str:
    """The option that a rule's field came from."""
    if field == "status":
        return "error"
    if field in ("seconds", _HANG) or (field == "name" and options.get("operation")):
        return next((kind for kind in _KINDS if options.get(kind)), field)
    return field
