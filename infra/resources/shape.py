"""The shape of a container that runs on Cloud Run: compared, and laid over what is deployed.

Lists of named things, such as variables, are compared by name, and all of them are ours to declare;
of anything else only what is declared. An image, and the version a secret is pinned to, are each
release's own: they are never compared, and stay as they are.
"""

import re
from collections.abc import Mapping

from infra.resources.base import Difference
from infra.yaml_file import Value

type Shape = dict[str, Value]

NAMED = {"env", "volumes", "volumeMounts", "ports"}
WHOLE = {"env", "volumes", "volumeMounts"}
"""Lists in which what we do not declare is removed."""
ONE_OF = (
    {"httpGet", "tcpSocket", "grpc"},
    {"secret", "cloudSqlInstance", "emptyDir", "nfs", "gcs"},
)
"""Kinds of probes and of volumes: one has one of them."""
CONTAINERS = "containers"
IMAGE = "image"
SECRET = "secretKeyRef"  # noqa: S105


def differences(declared: Shape, live: Shape) -> list[Difference]:
    """The declared values that are not as declared."""
    return compare(declared, live, "")


def compare(declared: Value, live: Value, path: str) -> list[Difference]:
    """The differences at a path."""
    last = path.rpartition(".")[2]
    if isinstance(declared, list) and last == CONTAINERS:
        return compare_containers(declared, live if isinstance(live, list) else [], path)
    if isinstance(declared, list) and last in NAMED:
        return compare_named(by_name(declared), by_name(live), path, whole=last in WHOLE)
    if isinstance(declared, dict) and last != SECRET:
        there = live if isinstance(live, dict) else {}
        found: list[Difference] = []
        for key, value in declared.items():
            found += compare(value, there.get(key), f"{path}.{key}" if path else key)
        return found
    if plain(declared, last) == plain(live, last):
        return []
    return [Difference(path, show(live), show(declared))]


def compare_containers(declared: list[Value], live: list[Value], path: str) -> list[Difference]:
    """Containers, one by one: the first is known by its place, for Google may name it."""
    found: list[Difference] = []
    for index, container in enumerate(declared):
        there = live[index] if index < len(live) else None
        name = container.get("name", index) if isinstance(container, dict) else index
        found += compare(container, there, f"{path}.{name}")
    if len(live) > len(declared):
        found.append(Difference(path, len(live), len(declared)))
    return found


def compare_named(
    declared: Mapping[str, Shape], live: Mapping[str, Shape], path: str, *, whole: bool
) -> list[Difference]:
    """Things that have a name."""
    found: list[Difference] = []
    for name, value in declared.items():
        if name not in live:
            found.append(Difference(f"{path}.{name}", None, show(value)))
        elif path.endswith("env"):
            if plain_variable(value) != plain_variable(live[name]):
                old, new = show(live[name]), show(value)
                found.append(Difference(f"{path}.{name}", old, new))
        else:
            found += compare(value, live[name], f"{path}.{name}")
    if whole:
        extra = [name for name in live if name not in declared]
        found += [Difference(f"{path}.{name}", show(live[name]), None) for name in extra]
    return found


def lay_over(declared: Value, live: Value, key: str = "") -> Value:
    """What is there with what is declared laid over it."""
    if isinstance(declared, list) and key == CONTAINERS:
        there = live if isinstance(live, list) else []
        return [
            lay_over(each, there[index] if index < len(there) else None)
            for index, each in enumerate(declared)
        ]
    if isinstance(declared, list) and key in NAMED:
        known = by_name(live)
        return [lay_named(each, known, key) for each in declared]
    if isinstance(declared, dict):
        there_fields = without_others(declared, live if isinstance(live, dict) else {})
        over = {
            name: lay_over(each, there_fields.get(name), name) for name, each in declared.items()
        }
        return {**there_fields, **over}
    return declared


def without_others(declared: Shape, live: Shape) -> Shape:
    """What is there, without the kinds of which there can be one, and another is declared."""
    others = {key for kinds in ONE_OF if kinds & declared.keys() for key in kinds - declared.keys()}
    return {key: value for key, value in live.items() if key not in others}


def lay_named(declared: Value, known: Mapping[str, Shape], key: str) -> Value:
    """A named thing laid over the one of its name; a variable's pinned version stays."""
    there = known.get(name_of(declared))
    if there is None:
        return declared
    if key == "env":
        same = isinstance(declared, dict) and plain_variable(declared) == plain_variable(there)
        return there if same else declared
    return lay_over(declared, there)


def by_name(things: Value) -> dict[str, Shape]:
    """Named things by their name."""
    listed = things if isinstance(things, list) else []
    return {name_of(each): each for each in listed if isinstance(each, dict)}


def name_of(thing: Value) -> str:
    """The name of a thing."""
    return str(thing.get("name", "")) if isinstance(thing, dict) else ""


def plain_variable(variable: Shape) -> str:
    """A variable's value, or the secret it is read from, whichever version."""
    source = variable.get("valueSource")
    reference = source.get(SECRET) if isinstance(source, dict) else None
    if isinstance(reference, dict):
        return f"secret {str(reference.get('secret', '')).rpartition('/')[2]}"
    return f"value {variable.get('value', '')}"


def plain(value: Value, key: str) -> Value:
    """A value, written in one way: 1000m is 1, 1Gi is 1024Mi; a name may be in full."""
    if not isinstance(value, str):
        return value or None  # what Google leaves out is a zero
    if key == "cpu" and value.endswith("m"):
        return f"{int(value[:-1]) / 1000:g}"
    if key == "memory" and re.fullmatch(r"[0-9]+Gi", value):
        return f"{int(value[:-2]) * 1024}Mi"
    return value or None


def show(value: Value) -> Value:
    """A value as it is shown: a variable's, or the whole."""
    if isinstance(value, dict) and ("valueSource" in value or "value" in value):
        text = plain_variable(value)
        return text.removeprefix("value ")
    return value
