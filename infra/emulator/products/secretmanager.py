"""Secret Manager v1: secrets and their versions, global ones.

A secret may be replicated or bound to a region as its owner likes: here that is only remembered.
"""

import base64
import re
from typing import Any

import google_crc32c
from google.cloud import secretmanager_v1 as sm

from infra.emulator import errors, iam, messages, pages, policies, projects
from infra.emulator.api import Api, Call
from infra.emulator.world import Document, World

_PACKAGE = "google.cloud.secretmanager_v1"
_SERVICE = "SecretManagerService"
_ID = re.compile(r"[a-zA-Z0-9_-]{1,255}")
_LARGEST = 65536
_FIXED = {"name", "create_time", "replication", "policy_member"}
# What a secret may ask for and the emulator does not do.
_NOT_DONE = ("topics", "rotation", "customer_managed_encryption", "tags", "secret_type")
_STATE = sm.SecretVersion.State

api = Api("secretmanager", prefix="/secretmanager")


@api.method(_PACKAGE, _SERVICE, "CreateSecret", permission="secretmanager.secrets.create")
def create_secret(call: Call[sm.CreateSecretRequest]) -> sm.Secret:
    """A secret without a version."""
    _global(call.request.parent)
    if not _ID.fullmatch(call.request.secret_id):
        raise errors.invalid(
            f"Invalid secret id '{call.request.secret_id}': it must match [a-zA-Z0-9_-]{{1,255}}.",
            "secret_id",
        )
    given = call.request.secret
    if not messages.to_pb(given).HasField("replication"):
        raise errors.invalid("The secret's replication is required.", "secret.replication")
    name = f"{call.request.parent}/secrets/{call.request.secret_id}"
    secret = sm.Secret(messages.to_pb(given))
    secret.create_time = call.world.now()
    with call.world.transaction():
        if call.world.get("secrets", name) is not None:
            raise errors.already_exists(f"Secret [{_public(call.world, name)}] already exists.")
        return _put(call.world, name, secret)


@api.method(_PACKAGE, _SERVICE, "GetSecret", permission="secretmanager.secrets.get")
def get_secret(call: Call[sm.GetSecretRequest]) -> sm.Secret:
    """One secret, without what it says."""
    return _secret(call.world, call.request.name)


@api.method(_PACKAGE, _SERVICE, "ListSecrets", permission="secretmanager.secrets.list")
def list_secrets(call: Call[sm.ListSecretsRequest]) -> sm.ListSecretsResponse:
    """A project's secrets, the newest first."""
    _global(call.request.parent)
    bodies = call.world.list("secrets", f"{call.request.parent}/secrets/")
    found = [messages.from_json(sm.Secret, body) for body in bodies]
    found = [one for one in found if _matches(one, call.request.filter)]
    found.sort(key=lambda one: one.create_time, reverse=True)
    some, token = pages.page(
        found, call.request.page_size, call.request.page_token, default=25_000, largest=25_000
    )
    return sm.ListSecretsResponse(secrets=some, next_page_token=token, total_size=len(found))


@api.method(_PACKAGE, _SERVICE, "UpdateSecret", permission="secretmanager.secrets.update")
def update_secret(call: Call[sm.UpdateSecretRequest]) -> sm.Secret:
    """Changes labels, annotations, aliases or expiry."""
    given = call.request.secret
    with call.world.transaction():
        secret = _secret(call.world, given.name)
        _check_etag(given.etag, secret.etag)
        mask = messages.to_pb(call.request).update_mask
        if not mask.paths:
            raise errors.invalid("The update mask is required.", "update_mask")
        pages.patch(messages.to_pb(secret), messages.to_pb(given), mask, _FIXED)
        return _put(call.world, given.name, secret)


@api.method(_PACKAGE, _SERVICE, "DeleteSecret", permission="secretmanager.secrets.delete")
def delete_secret(call: Call[sm.DeleteSecretRequest]) -> None:
    """Deletes a secret with its versions."""
    with call.world.transaction():
        name = call.request.name
        _check_etag(call.request.etag, _secret(call.world, name).etag)
        call.world.delete("secrets", name)
        call.world.delete("secret_counts", name)
        for body in call.world.list("secret_versions", f"{name}/versions/"):
            call.world.delete("secret_versions", body["key"])
        iam.delete_policies(call.world, name)


@api.method(_PACKAGE, _SERVICE, "AddSecretVersion", permission="secretmanager.versions.add")
def add_secret_version(call: Call[sm.AddSecretVersionRequest]) -> sm.SecretVersion:
    """The next version; its number is one that no version of the secret ever had."""
    payload = call.request.payload
    if not payload.data:
        raise errors.invalid("The payload of a version must not be empty.", "payload.data")
    if len(payload.data) > _LARGEST:
        raise errors.invalid(f"The payload is larger than {_LARGEST} bytes.", "payload.data")
    checked = messages.to_pb(payload).HasField("data_crc32c")
    if checked and payload.data_crc32c != google_crc32c.value(payload.data):
        raise errors.invalid("The payload does not match its checksum.", "payload.data_crc32c")
    with call.world.transaction():
        parent = call.request.parent
        _secret(call.world, parent)
        number = _count(call.world, parent) + 1
        call.world.put("secret_counts", parent, {"versions": number})
        version = sm.SecretVersion(
            create_time=call.world.now(),
            state=_STATE.ENABLED,
            client_specified_payload_checksum=checked,
            replication_status={"automatic": {}},
        )
        data = base64.b64encode(payload.data).decode()
        return _put_version(call.world, f"{parent}/versions/{number}", version, data)


@api.method(_PACKAGE, _SERVICE, "GetSecretVersion", permission="secretmanager.versions.get")
def get_secret_version(call: Call[sm.GetSecretVersionRequest]) -> sm.SecretVersion:
    """One version, by number, alias or `latest`, without what it says."""
    return _version(find_version(call.world, call.request.name))


@api.method(_PACKAGE, _SERVICE, "ListSecretVersions", permission="secretmanager.versions.list")
def list_secret_versions(call: Call[sm.ListSecretVersionsRequest]) -> sm.ListSecretVersionsResponse:
    """A secret's versions, the newest first; those destroyed are still there."""
    _secret(call.world, call.request.parent)
    bodies = call.world.list("secret_versions", f"{call.request.parent}/versions/")
    bodies.sort(key=lambda body: int(body["key"].rpartition("/")[2]), reverse=True)
    wanted = _wanted_state(call.request.filter)
    found = [_version(body) for body in bodies]
    found = [one for one in found if wanted in ("", one.state.name)]
    some, token = pages.page(
        found, call.request.page_size, call.request.page_token, default=25_000, largest=25_000
    )
    return sm.ListSecretVersionsResponse(
        versions=some, next_page_token=token, total_size=len(found)
    )


@api.method(_PACKAGE, _SERVICE, "AccessSecretVersion", permission="secretmanager.versions.access")
def access_secret_version(call: Call[sm.AccessSecretVersionRequest]) -> Any:
    """What an enabled version says."""
    data = access(call.world, call.request.name)
    body = find_version(call.world, call.request.name)
    return sm.AccessSecretVersionResponse(
        name=_public(call.world, body["key"]),
        payload=sm.SecretPayload(data=data, data_crc32c=google_crc32c.value(data)),
    )


@api.method(_PACKAGE, _SERVICE, "EnableSecretVersion", permission="secretmanager.versions.enable")
def enable_secret_version(call: Call[sm.EnableSecretVersionRequest]) -> sm.SecretVersion:
    """Makes a version say again what it said."""
    return _move(call.world, call.request.name, call.request.etag, _STATE.ENABLED)


@api.method(_PACKAGE, _SERVICE, "DisableSecretVersion", permission="secretmanager.versions.disable")
def disable_secret_version(call: Call[sm.DisableSecretVersionRequest]) -> sm.SecretVersion:
    """Keeps a version to itself until it is enabled."""
    return _move(call.world, call.request.name, call.request.etag, _STATE.DISABLED)


@api.method(_PACKAGE, _SERVICE, "DestroySecretVersion", permission="secretmanager.versions.destroy")
def destroy_secret_version(call: Call[sm.DestroySecretVersionRequest]) -> sm.SecretVersion:
    """Forgets what a version said, for good."""
    return _move(call.world, call.request.name, call.request.etag, _STATE.DESTROYED)


def access(world: World, name: str) -> bytes:
    """Returns what a version says (by number, alias or `latest`); 404 or 400 if it says nothing.

    Whether somebody may know is for the caller to ask.
    """
    body = find_version(world, name)
    if body["state"] != "ENABLED":
        raise errors.precondition(
            f"Secret Version [{_public(world, body['key'])}] is in {body['state']} state."
        )
    return base64.b64decode(body["data"])


def find_version(world: World, name: str) -> Document:
    """Returns a version's document; its `key` is the name with the version's number."""
    secret, _, which = name.partition("/versions/")
    known = _secret(world, secret)
    if which == "latest":
        which = str(_count(world, secret))
        if which == "0":
            raise errors.not_found(
                f"Secret [{_public(world, secret)}] not found or has no versions."
            )
    elif not which.isdigit():
        which = str(known.version_aliases.get(which, which))
    body = world.get("secret_versions", f"{secret}/versions/{which}")
    if body is None:
        raise errors.not_found(
            f"Secret Version [{_public(world, secret)}/versions/{which}] not found."
        )
    return body


def _secret(world: World, name: str) -> sm.Secret:
    _global(name)
    body = world.get("secrets", name)
    if body is None:
        raise errors.not_found(f"Secret [{_public(world, name)}] not found.")
    return messages.from_json(sm.Secret, body)


policies.serve(api, _PACKAGE, _SERVICE, "secretmanager.secrets", _secret)


def _put(world: World, name: str, secret: sm.Secret) -> sm.Secret:
    pb: Any = messages.to_pb(secret)
    for field, _ in pb.ListFields():
        if field.name in _NOT_DONE:
            raise errors.unimplemented(f"google.cloud.secretmanager.v1.Secret.{field.name}")
    pages.check_labels(secret.labels.items(), "secret.labels")
    if pb.HasField("ttl"):
        secret.expire_time = world.now() + secret.ttl
    secret.name = _public(world, name)
    secret.etag = pages.etag()
    world.put("secrets", name, messages.dump(secret))
    return secret


def _version(body: Document) -> sm.SecretVersion:
    return messages.from_json(
        sm.SecretVersion, {key: body[key] for key in body if key not in ("key", "data")}
    )


def _put_version(world: World, key: str, version: sm.SecretVersion, data: str) -> sm.SecretVersion:
    version.name = _public(world, key)
    version.etag = pages.etag()
    world.put("secret_versions", key, {**messages.dump(version), "key": key, "data": data})
    return version


def _move(world: World, name: str, etag: str, state: Any) -> sm.SecretVersion:
    with world.transaction():
        body = find_version(world, name)
        version = _version(body)
        _check_etag(etag, version.etag)
        if version.state == _STATE.DESTROYED:
            raise errors.precondition(f"Secret Version [{version.name}] is in DESTROYED state.")
        version.state = state
        data = body["data"]
        if state == _STATE.DESTROYED:
            version.destroy_time = world.now()
            data = ""
        return _put_version(world, body["key"], version, data)


def _count(world: World, secret: str) -> int:
    body = world.get("secret_counts", secret)
    return int(body["versions"]) if body else 0


def _check_etag(given: str, current: str) -> None:
    if given and given != current:
        raise errors.precondition(
            "The etag provided in the request does not match the resource's current etag."
        )


def _public(world: World, name: str) -> str:
    """Secret Manager answers with the project's number."""
    _, project, rest = name.split("/", 2)
    return f"projects/{projects.find(world, project).number}/{rest}"


def _global(name: str) -> None:
    if "/locations/" in f"{name}/":
        raise errors.unimplemented("regional secrets of google.cloud.secretmanager.v1")


def _matches(secret: sm.Secret, wanted: str) -> bool:
    """`labels.k=v` and `name:part`, joined by AND."""
    for term in filter(None, re.split(r"\s+AND\s+|\s+", wanted.strip())):
        key, operator, value = (
            re.split(r"([:=])", term, maxsplit=1) if re.search("[:=]", term) else (term, "", "")
        )
        value = value.strip('"')
        if key.startswith("labels.") and operator:
            if secret.labels.get(key.removeprefix("labels.")) != value:
                return False
        elif key == "name" and operator:
            if value not in secret.name:
                return False
        else:
            raise errors.invalid(f"The emulator does not filter by {term!r}.", "filter")
    return True


def _wanted_state(wanted: str) -> str:
    state = re.fullmatch(r'\s*(?:state\s*[:=]\s*"?(\w+)"?)?\s*', wanted)
    if state is None:
        raise errors.invalid(f"The emulator does not filter by {wanted!r}.", "filter")
    return state[1] or ""
