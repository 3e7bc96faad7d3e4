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

BUCKETS, OBJECTS, GENERATIONS = "buckets", "objects", "generations"

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

# Any characters but those that end a line; not `.` or `..` alone.
_OBJECT_NAME = re.compile(r"(?!\.{1,2}$)[^\r\n]+")
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
    reading = call.method.endswith(".get")
    check_conditions(call.query, found["body"], reading=reading)
    _check_etags(call.headers, found["body"]["etag"], reading=reading)
    return found


def check_conditions(
    query: Mapping[str, str], body: Mapping[str, Any] | None, *, reading: bool = False
) -> None:
    """Raises 412 (304, reading) for `ifGenerationMatch` and its kin; generation 0 is none."""
    for name, value in query.items():
        condition = _CONDITION.fullmatch(name)
        if condition is None:
            continue
        if not value.isdecimal():
            raise errors.invalid(f"Invalid value '{value}' of {name}.", name)
        same = int(body[condition["what"].lower()] if body else 0) == int(value)
        if condition["not"] is None and not same:
            raise condition_not_met(name)
        if condition["not"] is not None and same:
            raise _not_modified() if reading else condition_not_met(name)


def _check_etags(headers: Mapping[str, str], etag: str, *, reading: bool) -> None:
    """The same for the headers If-Match and If-None-Match."""
    matches = {
        name: bool({"*", etag} & {one.strip().strip('"') for one in headers[name].split(",")})
        for name in ("if-match", "if-none-match")
        if name in headers
    }
    if not matches.get("if-match", True):
        raise condition_not_met("If-Match")
    if matches.get("if-none-match", False):
        raise _not_modified() if reading else condition_not_met("If-None-Match")


def _not_modified() -> GoogleError:
    return GoogleError(304, "", "Not modified")


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


def number(query: Mapping[str, str], name: str) -> int:
    """Returns a parameter that counts something, 0 where it is not given; else 400."""
    text = query.get(name, "0")
    if not text.isdecimal():
        raise errors.invalid(f"Invalid value '{text}' of {name}.", name)
    return int(text)


def key(bucket: str, name: str) -> str:
    """The name of an object's document: a bucket's objects sort by name."""
    return f"{bucket}/{name}"


def store(call: Call[Any], bucket: str, given: Document, content: bytes) -> Document:
    """Makes an object of its content and returns it; checksums that were given are verified."""
    name = given.get("name")
    if not isinstance(name, str) or not _OBJECT_NAME.fullmatch(name) or len(name.encode()) > 1024:
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
            # It may be gone by now; and who replaces an object must be allowed to delete it.
            find_bucket(call, f"storage.objects.{'delete' if before else 'create'}")
            check_conditions(call.query, before["body"] if before else None)
        except GoogleError:
            (world.blobs / blob).unlink(missing_ok=True)
            raise
        now = timestamp(world)
        generation = _next_generation(world)
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


def _next_generation(world: World) -> int:
    """The time in microseconds, as Google's are, or one more than the last: none comes twice.

    So a generation that somebody holds never means an object made later, though the clock stands
    still, or the object is deleted and made anew.
    """
    last = world.get(GENERATIONS, "last")
    now = int(world.now().timestamp() * 1_000_000)
    generation = max(now, int(last["generation"]) + 1) if last else now
    world.put(GENERATIONS, "last", {"generation": generation})
    return generation


def timestamp(world: World) -> str:
    """The time as Storage writes it, in milliseconds."""
    return world.timestamp()[:-4] + "Z"


def remove_blob(world: World, document: Document) -> None:
    """Removes an object's content."""
    (world.blobs / document["blob"]).unlink(missing_ok=True)


def etag(generation: int, metageneration: int) -> str:
    """Returns an etag as Storage makes them."""
    return base64.b64encode(f"{generation}/{metageneration}".encode()).decode()


def touch(world: World, body: Document) -> None:
    """Notes that metadata has changed."""
    body["metageneration"] = str(int(body["metageneration"]) + 1)
    body["updated"] = timestamp(world)
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
