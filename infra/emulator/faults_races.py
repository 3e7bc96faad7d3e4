"""A foreign writer: changes a resource just before a call does, as somebody else would.

It leaves a label or a binding of its own, so that a caller that overwrites it can be found out,
and a new etag, metageneration or settings version, so that one that is careful gets its 409 or 412.
"""

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infra.emulator import accounts, buckets, pages
from infra.emulator.world import Document, World

MEMBER = "user:somebody-else@example.com"
LABEL, VALUE = "somebody-else", "was-here"

# The first part of a role's permissions, by API, where a role must concern the API.
_ROLES = {
    "secretmanager": "roles/secretmanager.viewer",
    "run": "roles/run.viewer",
    "artifactregistry": "roles/artifactregistry.reader",
    "iam": "roles/iam.serviceAccountUser",
    "storage": "roles/storage.objectViewer",
    "cloudbuild": "roles/cloudbuild.connectionViewer",
    "cloudresourcemanager": "roles/viewer",
}

type Change = Callable[[World, Document], None]


@dataclass(frozen=True)
class _Kind:
    """Documents that methods change: their kind, their name in a call, what a writer does."""

    kind: str
    name: Callable[[Mapping[str, str]], str]
    change: Change


def intrude(world: World, api: str, method: str, params: Mapping[str, str]) -> bool:
    """Changes what a call is about to change; returns False where there is nothing to change."""
    last = ".".join(method.split(".")[-2:])
    if last.lower().endswith("setiampolicy"):
        _grant(world, api, params)
        return True
    kind = _KINDS.get(last)
    if kind is None:
        return False
    with world.transaction():
        name = kind.name(params)
        body = world.get(kind.kind, name)
        if body is None:
            return False
        kind.change(world, body)
        world.put(kind.kind, name, body)
    return True


def _grant(world: World, api: str, params: Mapping[str, str]) -> None:
    resource = _resource(world, api, params)
    with world.transaction():
        body = world.get("policies", resource) or {"version": 1}
        role, bindings = _ROLES[api], body.setdefault("bindings", [])
        same = (one for one in bindings if one["role"] == role and "condition" not in one)
        binding = next(same, None)
        if binding is None:
            binding = {"role": role, "members": []}
            bindings.append(binding)
        binding["members"] = sorted({*binding["members"], MEMBER})
        body["etag"] = base64.b64encode(b"\x07" + secrets.token_bytes(7)).decode()
        world.put("policies", resource, body)


def _resource(world: World, api: str, params: Mapping[str, str]) -> str:
    """The name of the resource's policy."""
    if api == "storage":
        return f"buckets/{params['bucket']}"
    resource = params["resource"]
    if api == "iam":
        return str(accounts.find(world, resource)["name"])
    if api == "cloudresourcemanager":
        return f"projects/{resource.removeprefix('projects/')}"
    return resource


def _mark(body: Document, field: str = "labels") -> None:
    body[field] = {**body.get(field, {}), LABEL: VALUE}


def _message(field: str = "labels") -> Change:
    def change(world: World, body: Document) -> None:
        _mark(body, field)
        if "etag" in body:
            body["etag"] = pages.etag()

    return change


def _account(world: World, body: Document) -> None:
    body["etag"] = base64.b64encode(secrets.token_bytes(12)).decode()


def _instance(world: World, body: Document) -> None:
    settings = body["settings"]
    _mark(settings, "userLabels")
    settings["settingsVersion"] = str(int(settings["settingsVersion"]) + 1)
    body["etag"] = pages.etag().strip('"')


def _bucket(world: World, body: Document) -> None:
    _mark(body["body"])
    buckets.touch(world, body["body"])


def _object(world: World, body: Document) -> None:
    own = body["body"]
    _mark(own, "metadata")
    own["generation"] = str(int(own["generation"]) + 1)
    own["updated"] = world.timestamp()
    own["etag"] = buckets.etag(int(own["generation"]), int(own["metageneration"]))


def _param(name: str) -> Callable[[Mapping[str, str]], str]:
    return lambda params: params[name]


def _joined(*names: str) -> Callable[[Mapping[str, str]], str]:
    return lambda params: "/".join(params[name] for name in names)


def _account_key(name: str) -> Callable[[Mapping[str, str]], str]:
    return lambda params: params[name].rpartition("/")[2]


_SECRET = "secrets"  # noqa: S105
_KINDS = {
    "SecretManagerService.UpdateSecret": _Kind(_SECRET, _param("secret.name"), _message()),
    "SecretManagerService.DeleteSecret": _Kind(_SECRET, _param("name"), _message()),
    "Services.UpdateService": _Kind("run_services", _param("service.name"), _message()),
    "Services.DeleteService": _Kind("run_services", _param("name"), _message()),
    "Jobs.UpdateJob": _Kind("run_jobs", _param("job.name"), _message()),
    "Jobs.DeleteJob": _Kind("run_jobs", _param("name"), _message()),
    "ArtifactRegistry.UpdateRepository": _Kind(
        "repositories", _param("repository.name"), _message()
    ),
    "RepositoryManager.UpdateConnection": _Kind(
        "build_connections", _param("connection.name"), _message("annotations")
    ),
    "RepositoryManager.DeleteConnection": _Kind(
        "build_connections", _param("name"), _message("annotations")
    ),
    "IAM.PatchServiceAccount": _Kind(accounts.KIND, _account_key("service_account.name"), _account),
    "IAM.UpdateServiceAccount": _Kind(accounts.KIND, _account_key("name"), _account),
    "SqlInstancesService.Patch": _Kind("sql_instances", _joined("project", "instance"), _instance),
    "SqlInstancesService.Update": _Kind("sql_instances", _joined("project", "instance"), _instance),
    "buckets.patch": _Kind(buckets.BUCKETS, _param("bucket"), _bucket),
    "buckets.update": _Kind(buckets.BUCKETS, _param("bucket"), _bucket),
    "buckets.delete": _Kind(buckets.BUCKETS, _param("bucket"), _bucket),
    "objects.patch": _Kind(buckets.OBJECTS, _joined("bucket", "object"), _object),
    "objects.update": _Kind(buckets.OBJECTS, _joined("bucket", "object"), _object),
    "objects.delete": _Kind(buckets.OBJECTS, _joined("bucket", "object"), _object),
}
