"""Buckets and objects as Storage's files share them: how they are found, kept and guarded."""

import base64
import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import google_crc32c

from infra.emulator import errors, iam, services
from infra.emulator.api import Call
from infra.emulator.errors import GoogleError
from infra.emulator.world import Document, World

BUCKETS, OBJECTS = "buckets", "objects"

# The metadata of an object that its writer decides on.
WRITABLE = {
    "acl",
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "eventBasedHold",
    "metadata",
    "storageClass",
    "temporaryHold",
}

_CONDITION = re.compile(r"if(Source)?(?P<what>Generation|Metageneration)(?P<not>Not)?Match")


def uris(path: str) -> tuple[str, ...]:
    """Where a path is found: gcloud leaves `storage/v1` out when its endpoint has a path."""
    return f"/storage/v1/{path}", f"/{path}"


def find_bucket(call: Call[Any], permission: str) -> Document:
    """Returns the bucket a call names, if the caller has a permission on it; else 404 or 403."""
    name = call.params["bucket"]
    bucket = call.world.get(BUCKETS, name)
    if bucket is None:
        raise no_bucket()
    services.require(call.world, "storage.googleapis.com", bucket["project"])
    if not iam.has_permission(call.world, call.caller, permission, f"buckets/{name}"):
        raise GoogleError(
            403,
            "PERMISSION_DENIED",
            f"{call.caller.email} does not have {permission} access to the Google Cloud Storage"
            f" bucket. Permission '{permission}' denied on resource (or it may not exist).",
            "forbidden",
        )
    return bucket


def find_object(call: Call[Any], permission: str) -> Document:
    """Returns the object a call names, after its preconditions; else 404, 403, 412 or 304."""
    bucket = find_bucket(call, permission)
    name = call.params["object"]
    found = call.world.get(OBJECTS, key(bucket["body"]["name"], name))
    wanted = call.query.get("generation")
    if found is None or wanted not in (None, found["body"]["generation"]):
        raise errors.not_found(f"No such object: {bucket['body']['name']}/{name}")
    check_conditions(call.query, found["body"], reading=call.method.endswith(".get"))
    return found


def check_conditions(
    query: Mapping[str, str], body: Mapping[str, Any] | None, *, reading: bool = False
) -> None:
    """Raises 412 (304, reading) for `ifGenerationMatch` and its kin; generation 0 is none."""
    for name, value in query.items():
        condition = _CONDITION.fullmatch(name)
        if condition is None:
            continue
        current = body[condition["what"].lower()] if body else "0"
        if condition["not"] is None and current != value:
            raise condition_not_met(name)
        if condition["not"] is not None and current == value:
            raise GoogleError(304, "", "Not modified") if reading else condition_not_met(name)


def condition_not_met(what: str = "") -> GoogleError:
    """412, as Storage says it."""
    return GoogleError(
        412,
        "FAILED_PRECONDITION",
        "At least one of the pre-conditions you specified did not hold.",
        "conditionNotMet",
        {"location": what},
    )


def no_bucket() -> GoogleError:
    """404, as Storage says it."""
    return errors.not_found("The specified bucket does not exist.")


def check_fields(given: Mapping[str, Any], known: Iterable[str], kind: str) -> None:
    """Raises 400 for a field that the resource does not have."""
    for name in given.keys() - set(known):
        raise errors.invalid(
            f"Invalid JSON payload received. Unknown name \"{name}\" at '{kind}':"
            " Cannot find field.",
            name,
        )


def key(bucket: str, name: str) -> str:
    """The name of an object's document: a bucket's objects sort by name."""
    return f"{bucket}/{name}"


def store(call: Call[Any], bucket: str, given: Document, content: bytes) -> Document:
    """Makes an object of its content and returns it; checksums that were given are verified."""
    name = given.get("name")
    if not name or len(name.encode()) > 1024 or "\n" in name or "\r" in name:
        raise errors.invalid(f"Invalid object name: {name!r}", "name")
    sums = {
        "md5Hash": base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode(),
        "crc32c": base64.b64encode(google_crc32c.value(content).to_bytes(4)).decode(),
    }
    for field, value in sums.items():
        if given.get(field, value) != value:
            raise errors.invalid(
                f"Provided {field} '{given[field]}' doesn't match calculated '{value}'.", field
            )
    world = call.world
    blob = f"{uuid.uuid4().hex}.object"
    world.put_blob(blob, content)
    with world.transaction():
        before = world.get(OBJECTS, key(bucket, name))
        try:
            check_conditions(call.query, before["body"] if before else None)
        except GoogleError:
            (world.blobs / blob).unlink(missing_ok=True)
            raise
        now = world.timestamp()
        generation = int(world.now().timestamp() * 1_000_000)
        if before:
            generation = max(generation, int(before["body"]["generation"]) + 1)
        body = {
            "contentType": "application/octet-stream",
            "storageClass": "STANDARD",
            **{field: given[field] for field in WRITABLE & given.keys()},
            **sums,
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "name": name,
            "bucket": bucket,
            "generation": str(generation),
            "metageneration": "1",
            "size": str(len(content)),
            "timeCreated": now,
            "updated": now,
            "timeStorageClassUpdated": now,
            "timeFinalized": now,
        }
        body["etag"] = etag(generation, 1)
        world.put(OBJECTS, key(bucket, name), {"body": body, "blob": blob})
    if before:
        remove_blob(world, before)
    return body


def remove_blob(world: World, document: Document) -> None:
    """Removes an object's content."""
    (world.blobs / document["blob"]).unlink(missing_ok=True)


def etag(generation: int, metageneration: int) -> str:
    """Returns an etag as Storage makes them."""
    return base64.b64encode(f"{generation}/{metageneration}".encode()).decode()


def touch(world: World, body: Document) -> None:
    """Notes that metadata has changed."""
    body["metageneration"] = str(int(body["metageneration"]) + 1)
    body["updated"] = world.timestamp()
    body["etag"] = etag(int(body.get("generation", 0)), int(body["metageneration"]))


def merge(target: Document, given: Mapping[str, Any]) -> None:
    """Applies a JSON merge patch (RFC 7396): null removes."""
    for name, value in given.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict) and isinstance(target.get(name), dict):
            merge(target[name], value)
        elif isinstance(value, dict):
            target[name] = {}
            merge(target[name], value)
        else:
            target[name] = value
