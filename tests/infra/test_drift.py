"""Drift is found in every field that is declared, of every kind, and in none that is not.

What is there comes from a provision of everything there is; each declared field of it is changed,
one at a time, as if somebody had done so by hand.
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from threading import Event

import pytest

from infra.plan import Action, to_converge
from infra.resources.base import Fields, Live, Reads, Resource, Work
from infra.retry import Retry
from infra.stack import stack
from infra.yaml_file import Value
from tests.emulator.emulators import Emulator
from tests.infra.ours import Ours
from tests.infra.services import write

TRIGGER = {"repository": "acme/orders", "connection": "github", "branch": "^main$"}
FIELDS = {
    "service": {"name": "orders", "invokers": ["user:ann@acme.com"], "min_instances": 1},
    "secrets": {"API_KEY": "api-key"},
    "config": {"LOG_LEVEL": "DEBUG"},
    "database": {"flags": {"log_min_duration_statement": "500"}},
    "trigger": TRIGGER,
    "monitoring": {},
}
RELEASED = {"image", "version"}
"""What each release gives, and no provision compares."""
BARE = {"connection", "database", "password", "secret"}
"""Kinds that declare that they are there, and whose they are."""

type Where = tuple[str | int, ...]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Resource, Live]]]:
    """Every resource of a stack that has everything, as it is after two provisions: the second one
    follows the first's consent to the connection."""
    folder = write(tmp_path_factory.mktemp("service"))
    emulator = Emulator(tmp_path_factory.mktemp("drift") / "state").start("--hollow")
    try:
        ours = Ours.make(emulator.host, folder, "drift-of-all", **FIELDS)
        ours.provision()
        ours.provision()
        work = Work(ours.cloud, Retry(Event()), {}, Reads())
        resources = stack(ours.cloud.environment, folder)
        lives = [(each, work.look(each)) for each in resources]
        assert not [each.key for each, live in lives if live is None]
        yield [(each, live) for each, live in lives if live is not None]
    finally:
        emulator.stop()


def altered(value: Value) -> Value:
    """Another value of its kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 7
    if isinstance(value, str):
        # Numbers are compared as such, in whichever unit.
        return "7" if value.rstrip("GMimk").isdecimal() else f"{value}-by-hand"
    return None if value else "by-hand"


def leaves(declared: Value, live: Value, where: Where = ()) -> Iterator[Where]:
    """The paths of the values that are declared."""
    if isinstance(declared, dict) and isinstance(live, dict) and declared:
        for key, value in declared.items():
            if key not in RELEASED:
                yield from leaves(value, live.get(key), (*where, key))
    elif isinstance(declared, list) and isinstance(live, list) and declared:
        for index, value in enumerate(declared):
            if index < len(live) and isinstance(value, dict):
                yield from leaves(value, live[index], (*where, index))
            else:
                yield where
                return
    elif where:
        yield where


def at(value: Value, where: Where) -> Value:
    """The value at a path; None where there is none."""
    for part in where:
        if isinstance(value, dict):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            return None
    return value


def put(fields: Fields, where: Where, value: Value) -> Fields:
    """The fields with another value at a path."""
    changed: Fields = copy.deepcopy(fields)
    inner = at(changed, where[:-1])
    last = where[-1]
    if isinstance(inner, dict):
        inner[str(last)] = value
    elif isinstance(inner, list) and isinstance(last, int):
        inner[last] = value
    return changed


def test_a_declared_field_that_was_changed_is_found(found: list[tuple[Resource, Live]]) -> None:
    tried: dict[str, int] = {}
    for resource, live in found:
        fields: Fields = dict(live.fields)
        for where in leaves(resource.declared(live), fields):
            changed = replace(live, fields=put(fields, where, altered(at(fields, where))))
            decided = to_converge(resource, changed, adopt=True)
            told = f"{resource.key}: {where}"
            assert decided.action in {Action.UPDATE, Action.REFUSE}, told
            assert decided.differences, told
            tried[resource.kind] = tried.get(resource.kind, 0) + 1
    kinds = {resource.kind for resource, _ in found}
    assert kinds - BARE <= set(tried), "a kind declares nothing"
    assert tried["service"] > 10, tried


def test_what_is_as_declared_and_has_more_besides_is_no_difference(
    found: list[tuple[Resource, Live]],
) -> None:
    for resource, live in found:
        more: Fields = {**live.fields, "somethingOfGoogles": {"grown": 12}}
        decided = to_converge(resource, replace(live, fields=more), adopt=False)
        assert decided.action is Action.NONE, f"{resource.key}: {decided.differences}"


def test_what_is_gone_is_made_again(found: list[tuple[Resource, Live]]) -> None:
    for resource, _ in found:
        assert to_converge(resource, None, adopt=False).action is Action.CREATE
