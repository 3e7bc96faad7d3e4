"""Cloud Storage's JSON API v1: objects, but for how they are uploaded."""

from urllib.parse import quote

from infra.emulator import buckets, errors, pages
from infra.emulator.api import Api, Call, Reply
from infra.emulator.buckets import OBJECTS, WRITABLE, find_bucket, find_object, uris
from infra.emulator.world import Document

_OBJECT = "b/{bucket}/o/{object}"
_PAGE = 1000
# What is read at once, while nobody can replace it.
_SMALL = 2**20
_OUTPUT = {
    "bucket",
    "componentCount",
    "crc32c",
    "etag",
    "generation",
    "id",
    "kind",
    "md5Hash",
    "mediaLink",
    "metageneration",
    "name",
    "owner",
    "selfLink",
    "size",
    "timeCreated",
    "timeFinalized",
    "timeStorageClassUpdated",
    "updated",
}

api = Api("storage", prefix="/storage", old_errors=True)


@api.route("GET", *uris("b/{bucket}/o"), name="storage.objects.list")
def list_objects(call: Call) -> Document:
    """A bucket's objects by name; those beyond a delimiter as prefixes."""
    bucket = find_bucket(call, "storage.objects.list")["body"]["name"]
    query = call.query
    if "matchGlob" in query:
        raise errors.unimplemented("storage.objects.list with matchGlob")
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    first, last = query.get("startOffset", ""), query.get("endOffset", "")
    most = min(buckets.number(query, "maxResults") or _PAGE, _PAGE)
    after = pages.key(query.get("pageToken", ""))
    entries: dict[str, Document | None] = {}
    start = buckets.key(bucket, max(first, after))
    for _, document in call.world.items(OBJECTS, buckets.key(bucket, prefix), start):
        name = document["body"]["name"]
        if (last and name >= last) or len(entries) > most:
            break
        head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        entry = prefix + head + delimiter if found else name
        if entry > after:
            entries.setdefault(entry, None if found else shown(call, document["body"]))
    some = list(entries.items())[:most]
    token = pages.key_token(some[-1][0]) if len(entries) > most else ""
    answer: Document = {"kind": "storage#objects"}
    if items := [body for _, body in some if body]:
        answer["items"] = items
    if prefixes := [name for name, body in some if body is None]:
        answer["prefixes"] = prefixes
    if token:
        answer["nextPageToken"] = token
    return answer


@api.route("GET", *uris(_OBJECT), f"/download/storage/v1/{_OBJECT}", name="storage.objects.get")
def get(call: Call) -> Document | Reply:
    """An object's metadata, or with `alt=media` its content, or a range of it."""
    content = b""
    with call.world.transaction():
        document = find_object(call, "storage.objects.get")
        body = document["body"]
        path = call.world.blobs / document["blob"]
        whole = int(body["size"]) <= _SMALL and "range" not in call.headers
        if whole and call.query.get("alt") == "media":
            content = path.read_bytes()
    if call.query.get("alt") != "media":
        return shown(call, body)
    headers = {
        "content-type": body["contentType"],
        "etag": f'"{body["etag"]}"',
        "x-goog-generation": body["generation"],
        "x-goog-metageneration": body["metageneration"],
        "x-goog-hash": f"crc32c={body['crc32c']},md5={body['md5Hash']}",
        "x-goog-storage-class": body["storageClass"],
        "x-goog-stored-content-encoding": body.get("contentEncoding", "identity"),
        "x-goog-stored-content-length": body["size"],
    }
    for field, header in (
        ("cacheControl", "cache-control"),
        ("contentDisposition", "content-disposition"),
        ("contentEncoding", "content-encoding"),
        ("contentLanguage", "content-language"),
    ):
        if field in body:
            headers[header] = body[field]
    return Reply(content if whole else path, headers=headers)


@api.route("PATCH", *uris(_OBJECT), name="storage.objects.patch", body="*")
@api.route("PUT", *uris(_OBJECT), name="storage.objects.update", body="*")
def patch(call: Call) -> Document:
    """Changes an object's metadata: what is given, and with PUT nothing else is left."""
    given = call.request
    buckets.check_fields(given, WRITABLE | _OUTPUT, "object")
    with call.world.transaction():
        document = find_object(call, "storage.objects.update")
        body = document["body"]
        if call.method.endswith(".update"):
            kept = _OUTPUT | {"contentType", "storageClass"}
            body = {name: value for name, value in body.items() if name in kept}
        buckets.merge(body, {name: given[name] for name in WRITABLE & given.keys()})
        buckets.touch(call.world, body)
        key = buckets.key(body["bucket"], body["name"])
        call.world.put(OBJECTS, key, {**document, "body": body})
    return shown(call, body)


@api.route("DELETE", *uris(_OBJECT), name="storage.objects.delete")
def delete(call: Call) -> Reply:
    """Deletes an object."""
    with call.world.transaction():
        document = find_object(call, "storage.objects.delete")
        body = document["body"]
        call.world.delete(OBJECTS, buckets.key(body["bucket"], body["name"]))
    buckets.remove_blob(call.world, document)
    return Reply(status=204)


for _verb, _path, _name in (
    ("POST", "b/{sourceBucket}/o/{sourceObject}/copyTo/b/{bucket}/o/{object}", "copy"),
    ("POST", "b/{sourceBucket}/o/{sourceObject}/rewriteTo/b/{bucket}/o/{object}", "rewrite"),
    ("POST", f"{_OBJECT}/compose", "compose"),
    ("POST", f"{_OBJECT}/restore", "restore"),
    ("POST", "b/{bucket}/o/watch", "watchAll"),
    ("GET", f"{_OBJECT}/acl", "getAcl"),
    ("GET", f"{_OBJECT}/iam", "getIamPolicy"),
    ("PUT", f"{_OBJECT}/iam", "setIamPolicy"),
):
    for _uri in uris(_path):
        api.known(_verb, _uri, f"storage.objects.{_name}")
api.known("POST", "/batch/storage/v1", "storage.batch")


def shown(call: Call, body: Document) -> Document:
    """Returns an object with its links."""
    root = f"http://{call.headers['host']}/storage"
    path = f"storage/v1/b/{body['bucket']}/o/{quote(body['name'], safe='')}"
    return {
        **body,
        "selfLink": f"{root}/{path}",
        "mediaLink": f"{root}/download/{path}?generation={body['generation']}&alt=media",
    }
