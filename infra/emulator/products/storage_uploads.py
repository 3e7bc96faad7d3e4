"""Cloud Storage's JSON API v1: the three ways to upload (its page "Uploads and downloads")."""

import re
import uuid

from infra.emulator import buckets, errors, messages
from infra.emulator.api import Api, Call, Reply
from infra.emulator.buckets import WRITABLE, find_bucket
from infra.emulator.errors import GoogleError
from infra.emulator.products.storage_objects import shown
from infra.emulator.world import Document

_UPLOAD = "/upload/storage/v1/b/{bucket}/o"
_RESUMABLE = "/resumable/upload/storage/v1/b/{bucket}/o"
_GIVEN = WRITABLE | {"name", "bucket", "md5Hash", "crc32c", "kind", "id", "size", "generation"}
# Seconds.
_WEEK = 7 * 24 * 3600
_RANGE = re.compile(r"bytes (?:\*|(?P<first>\d+)-(?P<last>\d+))/(?P<size>\d+|\*)")

api = Api("storage", prefix="/storage", old_errors=True)


@api.route("POST", _UPLOAD, _RESUMABLE, name="storage.objects.insert")
def insert(call: Call) -> Document | Reply:
    """A new object at once, or the session in which it will be uploaded."""
    bucket = find_bucket(call, "storage.objects.create")["body"]["name"]
    match call.query.get("uploadType", "media"):
        case "media":
            kind = call.headers.get("content-type", "application/octet-stream")
            given = _described(call, {"contentType": kind})
            return shown(call, buckets.store(call, bucket, given, call.body))
        case "multipart":
            metadata, kind, content = _parts(call)
            given = _described(call, {"contentType": kind, **metadata})
            return shown(call, buckets.store(call, bucket, given, content))
        case "resumable":
            return _begin(call, bucket)
        case other:
            raise errors.invalid(f"Invalid uploadType '{other}'.", "uploadType")


@api.route("PUT", _UPLOAD, _RESUMABLE, name="storage.objects.insert")
def resume(call: Call) -> Document | Reply:
    """The next bytes of a session, or how many there are; the object, once it has them all."""
    session = _session(call)
    if "done" in session:
        # Who did not get the answer asks again.
        return shown(call, session["done"])
    held = call.world.blobs / session["blob"]
    size = held.stat().st_size
    place = call.headers.get("content-range", f"bytes 0-{max(len(call.body) - 1, 0)}/*")
    found = _RANGE.fullmatch(place)
    if found is None:
        raise errors.invalid(f"Invalid Content-Range '{place}'.", "content-range")
    if found["first"] is not None and call.body:
        _append(call, session, int(found["first"]), size)
        size = held.stat().st_size
    whole = found["size"] if "content-range" in call.headers else str(size)
    if whole == "*" or size < int(whole):
        return _incomplete(size)
    if size > int(whole):
        raise errors.invalid("More bytes were uploaded than there were to be.", "content-range")
    conditions = Call(**{**vars(call), "query": session["query"]})
    body = buckets.store(conditions, session["bucket"], session["given"], held.read_bytes())
    call.world.put("uploads", session["name"], {**session, "done": body})
    held.unlink(missing_ok=True)
    return shown(call, body)


@api.route("DELETE", _UPLOAD, _RESUMABLE, name="storage.objects.cancelUpload")
def cancel(call: Call) -> Reply:
    """Ends a session without an object."""
    _forget(call, _session(call))
    return Reply(status=499)


def _begin(call: Call, bucket: str) -> Reply:
    metadata = messages.load(call.body) if call.body.strip() else {}
    headers = call.headers
    kind = headers.get("x-upload-content-type", "application/octet-stream")
    given = _described(call, {"contentType": kind, **metadata})
    before = call.world.get(buckets.OBJECTS, buckets.key(bucket, given["name"]))
    buckets.check_conditions(call.query, before["body"] if before else None)
    _forget_old(call)
    name = uuid.uuid4().hex
    call.world.put_blob(f"{name}.upload", b"")
    session = {
        "name": name,
        "blob": f"{name}.upload",
        "bucket": bucket,
        "given": given,
        "begun": call.world.now().timestamp(),
        "query": {key: value for key, value in call.query.items() if key.startswith("if")},
    }
    call.world.put("uploads", name, session)
    root = f"http://{headers['host']}/storage/upload/storage/v1/b/{bucket}/o"
    location = f"{root}?uploadType=resumable&upload_id={name}"
    return Reply(headers={"location": location, "x-guploader-uploadid": name})


def _session(call: Call) -> Document:
    session = call.world.get("uploads", call.query.get("upload_id", ""))
    if session is None or session["bucket"] != call.params["bucket"]:
        raise errors.not_found("The upload session was not found; it may be over.")
    find_bucket(call, "storage.objects.create")
    return session


def _append(call: Call, session: Document, first: int, size: int) -> None:
    if first > size:
        raise GoogleError(503, "UNAVAILABLE", f"Bytes {size} to {first - 1} are missing.")
    with (call.world.blobs / session["blob"]).open("r+b") as file:
        file.seek(first)
        file.write(call.body)


def _incomplete(size: int) -> Reply:
    return Reply(status=308, headers={"range": f"bytes=0-{size - 1}"} if size else {})


def _forget(call: Call, session: Document) -> None:
    call.world.delete("uploads", session["name"])
    (call.world.blobs / session["blob"]).unlink(missing_ok=True)


def _forget_old(call: Call) -> None:
    """Forgets sessions that are over: after a week, as Storage does."""
    oldest = call.world.now().timestamp() - _WEEK
    for session in call.world.list("uploads"):
        if session.get("begun", 0) < oldest:
            _forget(call, session)


def _described(call: Call, metadata: Document) -> Document:
    buckets.check_fields(metadata, _GIVEN, "object")
    given = {**metadata, "name": call.query.get("name") or metadata.get("name")}
    if not given["name"]:
        raise errors.invalid("Required", "name")
    if "contentEncoding" in call.query:
        given["contentEncoding"] = call.query["contentEncoding"]
    return given


def _parts(call: Call) -> tuple[Document, str, bytes]:
    """Takes a multipart/related body apart: the metadata, the content's type, the content."""
    boundary = re.search(r"""boundary=["']?([^"';]+)""", call.headers.get("content-type", ""))
    if boundary is None:
        raise errors.invalid("The multipart body has no boundary.", "content-type")
    line = b"--" + boundary[1].encode()
    begin = call.body.find(line)
    parts = (b"\n" + call.body[begin:]).split(b"\n" + line)
    if begin < 0 or len(parts) < 4 or not parts[-1].startswith(b"--"):
        raise errors.invalid("The multipart body must have two parts.", "body")
    _, metadata = _part(parts[1])
    # The content itself may hold what looks like a boundary; only the last one ends it.
    kind, content = _part((b"\n" + line).join(parts[2:-1]))
    return messages.load(metadata) if metadata.strip() else {}, kind, content


def _part(text: bytes) -> tuple[str, bytes]:
    head, gap, body = text.partition(b"\r\n\r\n")
    if not gap or b"\n\n" in head:
        head, _, body = text.partition(b"\n\n")
    kind = re.search(rb"^content-type:\s*(.+?)\s*$", head, re.IGNORECASE | re.MULTILINE)
    ending = b"\r" if body.endswith(b"\r") and gap else b""
    body = body.removesuffix(ending)
    return kind[1].decode() if kind else "application/octet-stream", body
