"""Cloud Storage's JSON API v1: buckets. Errors are of the older shape."""

import re

from google.iam.v1 import policy_pb2  # type: ignore[import-untyped]

from infra.emulator import buckets, errors, iam, pages, projects
from infra.emulator.api import Api, Call
from infra.emulator.buckets import BUCKETS, OBJECTS, find_bucket, uris
from infra.emulator.errors import GoogleError
from infra.emulator.world import Document

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_MULTI_REGIONS = {"US", "EU", "ASIA"}
_OUTPUT = {
    "kind",
    "selfLink",
    "id",
    "projectNumber",
    "generation",
    "metageneration",
    "timeCreated",
    "updated",
    "locationType",
    "etag",
    "owner",
    "satisfiesPZS",
    "satisfiesPZI",
}
_WRITABLE = {
    "acl",
    "autoclass",
    "billing",
    "cors",
    "customPlacementConfig",
    "defaultEventBasedHold",
    "defaultObjectAcl",
    "encryption",
    "hierarchicalNamespace",
    "iamConfiguration",
    "ipFilter",
    "labels",
    "lifecycle",
    "location",
    "logging",
    "name",
    "objectRetention",
    "retentionPolicy",
    "rpo",
    "softDeletePolicy",
    "storageClass",
    "versioning",
    "website",
}
_WEEK = "604800"

api = Api("storage", prefix="/storage", old_errors=True)


@api.route("POST", *uris("b"), name="storage.buckets.insert", body="*")
def insert(call: Call) -> Document:
    """A new bucket; its name is one that no project has yet."""
    given = call.request
    buckets.check_fields(given, _WRITABLE | _OUTPUT, "bucket")
    name = str(given.get("name", ""))
    if not _NAME.fullmatch(name) or ".." in name or name.startswith("goog"):
        raise errors.invalid(f"Invalid bucket name: '{name}'", "name")
    if not call.query.get("project"):
        raise errors.invalid("Required parameter: project", "project")
    project = projects.find(call.world, call.query["project"])
    call.require("storage.buckets.create", project.name)
    with call.world.transaction():
        if (taken := call.world.get(BUCKETS, name)) is not None:
            if taken["project"] == project.id:
                raise GoogleError(
                    409,
                    "ALREADY_EXISTS",
                    "Your previous request to create the named bucket succeeded and you already"
                    " own it.",
                    "conflict",
                )
            raise GoogleError(
                409,
                "ALREADY_EXISTS",
                "The requested bucket name is not available. The bucket namespace is shared by all"
                " users of the system. Please select a different name and try again.",
                "conflict",
            )
        body = _defaults(call, name, project.number)
        buckets.merge(body, {key: given[key] for key in _WRITABLE & given.keys()})
        _check(body)
        call.world.put(BUCKETS, name, {"project": project.id, "body": body})
        _grant_project(call, name, project.id)
    return _shown(call, body)


@api.route("GET", *uris("b"), name="storage.buckets.list")
def list_buckets(call: Call) -> Document:
    """A project's buckets."""
    if not call.query.get("project"):
        raise errors.invalid("Required parameter: project", "project")
    project = projects.find(call.world, call.query["project"])
    call.require("storage.buckets.list", project.name)
    prefix = call.query.get("prefix", "")
    found = [
        _shown(call, bucket["body"])
        for bucket in call.world.list(BUCKETS, prefix)
        if bucket["project"] == project.id
    ]
    some, token = pages.page(
        found,
        buckets.number(call.query, "maxResults"),
        call.query.get("pageToken", ""),
        default=1000,
    )
    answer: Document = {"kind": "storage#buckets"}
    if some:
        answer["items"] = list(some)
    if token:
        answer["nextPageToken"] = token
    return answer


@api.route("GET", *uris("b/{bucket}"), name="storage.buckets.get")
def get(call: Call) -> Document:
    """One bucket."""
    body = find_bucket(call, "storage.buckets.get")["body"]
    buckets.check_conditions(call.query, body, reading=True)
    return _shown(call, body)


@api.route("PATCH", *uris("b/{bucket}"), name="storage.buckets.patch", body="*")
@api.route("PUT", *uris("b/{bucket}"), name="storage.buckets.update", body="*")
def patch(call: Call) -> Document:
    """Changes a bucket: what is given, and with PUT nothing else is left."""
    given = call.request
    buckets.check_fields(given, _WRITABLE | _OUTPUT, "bucket")
    with call.world.transaction():
        bucket = find_bucket(call, "storage.buckets.update")
        body = bucket["body"]
        buckets.check_conditions(call.query, body)
        for fixed in ("name", "location"):
            if str(given.get(fixed, body[fixed])).lower() != body[fixed].lower():
                raise errors.invalid(f"The bucket's {fixed} cannot be changed.", fixed)
        if call.method.endswith(".update"):
            empty = _defaults(call, body["name"], body["projectNumber"])
            body = {
                **empty,
                **{name: body[name] for name in _OUTPUT | {"location"} if name in body},
            }
        changes = _WRITABLE & given.keys() - {"name", "location"}
        buckets.merge(body, {name: given[name] for name in changes})
        _check(body)
        buckets.touch(call.world, body)
        call.world.put(BUCKETS, body["name"], {**bucket, "body": body})
    return _shown(call, body)


@api.route("DELETE", *uris("b/{bucket}"), name="storage.buckets.delete")
def delete(call: Call) -> None:
    """Deletes an empty bucket."""
    with call.world.transaction():
        body = find_bucket(call, "storage.buckets.delete")["body"]
        buckets.check_conditions(call.query, body)
        if call.world.list(OBJECTS, f"{body['name']}/"):
            raise GoogleError(409, "", "The bucket you tried to delete is not empty.", "conflict")
        call.world.delete(BUCKETS, body["name"])
        iam.delete_policies(call.world, f"buckets/{body['name']}")


@api.route(
    "GET", *uris("projects/{project}/serviceAccount"), name="storage.projects.serviceAccount.get"
)
def service_account(call: Call) -> Document:
    """The account that Storage itself acts as."""
    email = iam.agent(call.world, call.params["project"], "gs-project-accounts")
    return {"kind": "storage#serviceAccount", "email_address": email}


for _verb, _path, _name in (
    ("POST", "b/{bucket}/lockRetentionPolicy", "buckets.lockRetentionPolicy"),
    ("GET", "b/{bucket}/storageLayout", "buckets.getStorageLayout"),
    ("GET", "b/{bucket}/acl", "bucketAccessControls.list"),
    ("POST", "b/{bucket}/acl", "bucketAccessControls.insert"),
    ("GET", "b/{bucket}/defaultObjectAcl", "defaultObjectAccessControls.list"),
    ("GET", "b/{bucket}/notificationConfigs", "notifications.list"),
    ("POST", "b/{bucket}/notificationConfigs", "notifications.insert"),
    ("POST", "projects/{project}/hmacKeys", "projects.hmacKeys.create"),
    ("GET", "projects/{project}/hmacKeys", "projects.hmacKeys.list"),
):
    for _uri in uris(_path):
        api.known(_verb, _uri, f"storage.{_name}")


def _defaults(call: Call, name: str, project_number: str) -> Document:
    now = buckets.timestamp(call.world)
    return {
        "kind": "storage#bucket",
        "id": name,
        "name": name,
        "projectNumber": project_number,
        "generation": str(int(call.world.now().timestamp() * 1_000_000)),
        "metageneration": "1",
        "location": "US",
        "storageClass": "STANDARD",
        "timeCreated": now,
        "updated": now,
        "etag": buckets.etag(0, 1),
        "softDeletePolicy": {"retentionDurationSeconds": _WEEK, "effectiveTime": now},
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": False},
            "publicAccessPrevention": "inherited",
        },
    }


def _check(body: Document) -> None:
    """Checks what was given, and fills in what follows from it."""
    body["location"] = str(body["location"]).upper()
    body["locationType"] = "multi-region" if body["location"] in _MULTI_REGIONS else "region"
    configuration = body.setdefault("iamConfiguration", {})
    prevention = configuration.setdefault("publicAccessPrevention", "inherited")
    if prevention not in ("inherited", "enforced"):
        raise errors.invalid(
            f"Invalid value '{prevention}'.", "iamConfiguration.publicAccessPrevention"
        )
    uniform = configuration.setdefault("uniformBucketLevelAccess", {"enabled": False})
    if not isinstance(uniform.get("enabled", False), bool):
        raise errors.invalid("A boolean is required.", "iamConfiguration.uniformBucketLevelAccess")
    configuration["bucketPolicyOnly"] = dict(uniform)
    pages.check_labels(body.get("labels", {}).items())
    for rule in body.get("lifecycle", {}).get("rule", ()):
        if not rule.get("condition") or "type" not in rule.get("action", {}):
            raise errors.invalid("A lifecycle rule needs an action and a condition.", "lifecycle")


def _grant_project(call: Call, name: str, project_id: str) -> None:
    """A new bucket's policy: what the project's primitive roles may do (Google's convenience)."""
    owners = [f"projectEditor:{project_id}", f"projectOwner:{project_id}"]
    viewers = [f"projectViewer:{project_id}"]
    bindings = [
        policy_pb2.Binding(role="roles/storage.legacyBucketOwner", members=owners),
        policy_pb2.Binding(role="roles/storage.legacyBucketReader", members=viewers),
    ]
    iam.set_policy(call.world, f"buckets/{name}", policy_pb2.Policy(bindings=bindings))


def _shown(call: Call, body: Document) -> Document:
    link = f"http://{call.headers['host']}/storage/storage/v1/b/{body['name']}"
    return {**body, "selfLink": link}
