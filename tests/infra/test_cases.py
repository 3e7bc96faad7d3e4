"""Cases as data: what is declared + what Google says is there → the changes that are due.

tests/infra/cases/<resource>/<what_happens>.yaml has `declared`, laid over a small environment;
`live`, in Google's own JSON or the name of a file beside it, with `but` laid over that by path; and
what is expected: `action`, `changes` as invoke provision --diff prints them, and `reason`.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from google.cloud import (
    artifactregistry_v1,
    run_v2,
    secretmanager_v1,
    service_usage_v1,
    sqladmin_v1beta4,
)
from google.cloud.devtools import cloudbuild_v1, cloudbuild_v2
from google.cloud.storage import Bucket as StorageBucket  # type: ignore[import-untyped]
from google.iam.v1 import policy_pb2  # type: ignore[import-untyped]
from google.protobuf import json_format  # type: ignore[import-untyped]

from infra.environment import Environment
from infra.plan import to_converge, to_remove
from infra.reporter import change
from infra.resources import apis, build, database, iam, registry, run, secrets, storage
from infra.resources.base import Live, Resource
from infra.stack import stack

CASES = Path(__file__).parent / "cases"
MANIFEST = "{{cookiecutter.service}}/ci/cloud-run.yaml"

type Json = dict[str, Any]


def parse_policy(live: Json) -> Live:
    """A policy's grants."""
    return iam.observe_policy(json_format.ParseDict(live, policy_pb2.Policy()))


def parse_bucket(live: Json) -> Live:
    """A bucket, as the client has read it."""
    bucket = StorageBucket(None, live["name"])
    bucket._set_properties(live)
    return storage.observe(bucket)


def parse_user(live: Json) -> Live:
    """A user, which is told by its secret."""
    secret = secretmanager_v1.Secret.from_json(json.dumps(live["secret"]))
    return database.observe_user(secret, live.get("version"))


def parsed(message: Any, observe: Callable[..., Live]) -> Callable[[Json], Live]:
    """Live of a message's JSON; `versions` beside it are those of secrets."""

    def parse(live: Json) -> Live:
        versions = live.pop("versions", None)
        of = message.from_json(json.dumps(live))
        return observe(of) if versions is None else observe(of, versions)

    return parse


PARSERS: dict[str, tuple[str, Callable[[Json], Live]]] = {
    "account": ("account orders-run", iam.observe),
    "apis": (
        "apis acme-stg",
        parsed(service_usage_v1.BatchGetServicesResponse, apis.observe),
    ),
    "bucket": ("bucket acme-stg-orders-source", parse_bucket),
    "connection": ("connection github", parsed(cloudbuild_v2.Connection, build.observe_connection)),
    "grants": ("grants on service orders", parse_policy),
    "instance": (
        "sql instance orders",
        parsed(sqladmin_v1beta4.DatabaseInstance, database.observe),
    ),
    "job": ("job orders-migrate", parsed(run_v2.Job, run.observe_job)),
    "registry": ("registry orders", parsed(artifactregistry_v1.Repository, registry.observe)),
    "secret": ("secret orders-db-password", parsed(secretmanager_v1.Secret, secrets.observe)),
    "service": ("service orders", parsed(run_v2.Service, run.observe)),
    "trigger": ("trigger orders", parsed(cloudbuild_v1.BuildTrigger, build.observe)),
    "user": ("database user orders", parse_user),
}
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
    decide = to_remove if case.get("remove") else to_converge
    decided = decide(resource, live, case.get("adopt", False))
    assert str(decided.action) == case["action"]
    assert [change(each) for each in decided.fields] == case.get("changes", [])
    assert case.get("reason", "") in decided.reason
    if "waiting" in case:
        assert live is not None
        assert case["waiting"] in live.waiting


def find(path: Path, case: Json, folder: Path) -> tuple[Resource, Live | None]:
    """The resource of a case, and what is there."""
    environment = Environment.model_validate(laid(copy.deepcopy(BASE), case.get("declared", {})))
    key, parse = PARSERS[path.parent.name]
    resources = {each.key: each for each in stack(environment, folder)}
    resource = resources[case.get("resource", key)]
    live = case.get("live")
    if isinstance(live, str):
        live = yaml.safe_load((path.parent / f"{live}.yaml").read_text("utf-8"))
    for where, value in case.get("but", {}).items():
        put(live, where.split("/"), value)
    return resource, None if live is None else parse(cast("Json", live))


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
