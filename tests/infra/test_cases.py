"""Cases as data: what is declared + what Google says is there → the changes that are due.

tests/infra/cases/<resource>/<what_happens>.yaml has `declared`, laid over a small environment;
`live`, Google's own JSON by the names of the resource's asks, or the name of a file beside it that
has that, with `but` laid over it by path; and what is expected: `action`, `changes` as invoke
provision --diff prints them, and `reason`. With `remove` the service is removed, with `keep_data`
its data stays, and `parent` is what is done about the resource it is a part of.
"""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.environment import Environment
from infra.plan import Action, Change, to_converge, to_remove
from infra.reporter import change
from infra.resources.base import Live, Resource
from infra.stack import stack

CASES = Path(__file__).parent / "cases"
MANIFEST = "{{cookiecutter.service}}/ci/cloud-run.yaml"

type Json = dict[str, Any]

USUAL = {
    "account": "account orders-run",
    "alert": "alert policy orders-errors",
    "apis": "apis acme-stg",
    "bucket": "bucket acme-stg-orders-source",
    "connection": "connection github",
    "dashboard": "dashboard orders",
    "database": "database orders",
    "grants": "grants on service orders",
    "instance": "sql instance orders",
    "job": "job orders-migrate",
    "password": "password orders-db-password",
    "registry": "registry orders",
    "repository": "repository acme/orders",
    "secret": "secret orders-db-password",
    "service": "service orders",
    "trigger": "trigger orders",
    "user": "database user orders",
}
"""The resource of a folder's cases, where they name no other."""
BASE: Json = {
    "name": "stg",
    "project": "acme-stg",
    "region": "europe-west1",
    "service": {"name": "orders"},
    "trigger": {"repository": "acme/orders", "connection": "github", "branch": "^main$"},
}


def case_files() -> list[Path]:
    """The cases; a file that begins with _ is what they share."""
    return sorted(path for path in CASES.glob("*/*.yaml") if not path.name.startswith("_"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service's folder, with the manifest of the template."""
    made = tmp_path_factory.mktemp("service")
    (made / "ci").mkdir()
    manifest = (CASES.parents[2] / MANIFEST).read_text("utf-8")
    (made / "ci" / "cloud-run.yaml").write_text(manifest)
    return made


@pytest.mark.parametrize("path", case_files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_case(path: Path, folder: Path) -> None:
    case = yaml.safe_load(path.read_text("utf-8"))
    resource, live = find(path, case, folder)
    parent = None
    if "parent" in case:
        assert resource.parent
        parent = Change(resource.parent, Action(case["parent"]))
    removing = partial(to_remove, keep_data=case.get("keep_data", False))
    decide = removing if case.get("remove") else to_converge
    decided = decide(resource, live, case.get("adopt", False), parent)
    assert str(decided.action) == case["action"]
    assert [change(each) for each in decided.fields] == case.get("changes", [])
    assert case.get("reason", "") in decided.reason
    if "waiting" in case:
        assert live is not None
        assert case["waiting"] in live.waiting


def find(path: Path, case: Json, folder: Path) -> tuple[Resource, Live | None]:
    """The resource of a case, and what is there."""
    environment = Environment.model_validate(laid(copy.deepcopy(BASE), case.get("declared", {})))
    resources = {each.key: each for each in stack(environment, folder)}
    resource = resources[case.get("resource", USUAL[path.parent.name])]
    live = case.get("live", {})
    if isinstance(live, str):
        live = yaml.safe_load((path.parent / f"{live}.yaml").read_text("utf-8"))
    for where, value in case.get("but", {}).items():
        put(live, where.split("/"), value)
    assert live.keys() <= resource.asks().keys(), "the case has what the resource does not ask"
    return resource, resource.observe(live)


def put(at: Any, where: list[str], value: object) -> None:
    """Puts a value at a path, whose numbers are places in lists; null takes it away."""
    *way, last = [int(part) if part.isdigit() else part for part in where]
    for part in way:
        at = at[part]
    if value is None:
        del at[last]
    elif isinstance(at, list) and last == len(at):
        at.append(value)
    else:
        at[last] = value


def laid(under: Json, over: Json) -> Json:
    """A mapping laid over another."""
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(under.get(key), dict)
        under[key] = laid(under[key], value) if both else value
    return under
