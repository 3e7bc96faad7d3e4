"""Secret Manager: secrets, and the database's password.

A value is never a field, so that no plan, log or argument ever holds one.
"""

# ruff: noqa: PLC0415

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import ClassVar, override

from infra.cloud import Cloud
from infra.resources.asks import Ask, last, text, texts
from infra.resources.base import (
    Difference,
    Fields,
    Found,
    Live,
    Resource,
    Work,
    labels_declared,
    labels_live,
)
from infra.resources.iam import Scope, get_policy, replacing
from infra.rest import Json, Request
from infra.retry import CloudError
from infra.yaml_file import Value

PASSWORD_BYTES = 32
PAGE = "1000"
VERSION = "version "
APPLIED = "cookiecutter-cloudrun-applied-version"
"""Annotation: the version of the password that the database user has."""


@dataclass(frozen=True)
class Secret(Resource):
    """A secret; what is in it is not ours to declare."""

    secret: str

    kind: ClassVar[str] = "secret"
    tags: ClassVar[tuple[str, ...]] = ("secrets",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("secretmanager.secrets.get", "secretmanager.secrets.list"),
        "create": ("secretmanager.secrets.create",),
        "update": ("secretmanager.secrets.get", "secretmanager.secrets.update"),
        "delete": ("secretmanager.secrets.delete",),
    }

    @property
    @override
    def name(self) -> str:
        return self.secret

    @override
    def asks(self) -> Mapping[str, Ask]:
        return {"secret": ask_secret(self.names.project, self.name)}

    @override
    def observe(self, found: Found) -> Live | None:
        secret = found.get("secret")
        if secret is None:
            return None
        labels = texts(secret, "labels")
        return Live(labels_live(labels), labels=labels)

    @override
    def declared(self, live: Live | None) -> Fields:
        return labels_declared(self.names)

    @override
    def create(self, work: Work) -> None:
        from google.cloud import secretmanager_v1

        automatic = secretmanager_v1.Replication(automatic=secretmanager_v1.Replication.Automatic())
        secret = secretmanager_v1.Secret(replication=automatic, labels=self.names.labels)
        request = secretmanager_v1.CreateSecretRequest(
            parent=f"projects/{self.names.project}", secret_id=self.name, secret=secret
        )
        work.call("create", lambda: work.cloud.secrets.create_secret(request))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        patch(work, self.names.project, self.name, "labels", self.names.labels)

    @override
    def delete(self, work: Work) -> None:
        name = self.names.secret(self.name)
        work.call("delete", lambda: work.cloud.secrets.delete_secret(name=name))


def ask_secret(project: str, name: str) -> Ask:
    """Asks for a secret, by its short name."""
    secrets = Request(
        "secretmanager", f"v1/projects/{project}/secrets", (("pageSize", PAGE),), "secrets"
    )
    secret = Request("secretmanager", f"v1/projects/{project}/secrets/{name}")
    return Ask("the secrets", secrets, secret, ("name", name))


def ask_version(project: str, name: str) -> Ask:
    """Asks for the number of the newest version of a secret that can be read."""
    query = (("filter", "state:ENABLED"), ("pageSize", PAGE))
    path = f"v1/projects/{project}/secrets/{name}/versions"
    versions = Request("secretmanager", path, query, "versions")
    return Ask(f"the versions of {name}", versions, pick=newest, made=name)


def ask_versions(project: str, names: Iterable[str]) -> dict[str, Ask]:
    """Asks for the versions of secrets; see `versions_found`."""
    return {f"{VERSION}{name}": ask_version(project, name) for name in dict.fromkeys(names)}


def versions_found(found: Found) -> dict[str, str]:
    """The versions to read, by the secret's short name; one that has none is left out."""
    return {
        key.removeprefix(VERSION): str(version)
        for key, version in found.items()
        if key.startswith(VERSION) and version
    }


def newest(versions: list[Json]) -> Value:
    """The number of the newest version that can be read, None when there is none."""
    enabled = [each for each in versions if text(each, "state") == "ENABLED"]
    numbers = [int(last(each.get("name"))) for each in enabled]
    return str(max(numbers)) if numbers else None


def find_secret(work: Work, project: str, name: str) -> Value:
    """A secret, as JSON; None when it is not there. Raises CloudError."""
    return work.ask(ask_secret(project, name))


def find_version(work: Work, project: str, name: str) -> str | None:
    """The version of a secret to read: the one made in this run, or else the newest."""
    version = work.ask(ask_version(project, name))
    return None if version is None else str(version)


def find_certain_version(work: Work, project: str, name: str) -> str | None:
    """Like `find_version`, of a version too that a list, which may lag, does not have yet.

    A version that is asked for by its number is told at once.
    """
    version = find_version(work, project, name)
    while True:
        path = f"v1/projects/{project}/secrets/{name}/versions/{int(version or 0) + 1}"
        following = work.fetch(f"the versions of {name}", Request("secretmanager", path))
        if text(following, "state") != "ENABLED":
            return version
        version = str(int(version or 0) + 1)


def find_versions(work: Work, project: str, names: Iterable[str]) -> dict[str, str]:
    """The versions to read, by the secret's short name; one that has none is left out."""
    return versions_found(work.ask_all(ask_versions(project, names)))


def patch(work: Work, project: str, name: str, field: str, added: Mapping[str, str]) -> None:
    """Adds to a secret's labels or annotations; those of others stay."""
    from google.cloud import secretmanager_v1
    from google.protobuf import field_mask_pb2  # type: ignore[import-untyped,unused-ignore]

    found = find_secret(work, project, name)
    secret = secretmanager_v1.Secret(
        name=f"projects/{project}/secrets/{name}", etag=text(found, "etag")
    )
    getattr(secret, field).update({**texts(found, field), **added})
    mask = field_mask_pb2.FieldMask(paths=[field])
    work.call("update", lambda: work.cloud.secrets.update_secret(secret=secret, update_mask=mask))


def add_version(work: Work, secret: str, value: str) -> str:
    """Adds a version to a secret, by its full name. Returns its number."""
    from google.cloud import secretmanager_v1

    payload = secretmanager_v1.SecretPayload(data=value.encode())
    added = work.call(
        "add a version",
        lambda: work.cloud.secrets.add_secret_version(parent=secret, payload=payload),
    )
    return str(added.name.rpartition("/")[2])


def read_version(work: Work, secret: str, version: str) -> str:
    """The value of a version of a secret, by its full name."""
    name = f"{secret}/versions/{version}"
    answer = work.read("the password", lambda: work.cloud.secrets.access_secret_version(name=name))
    if answer is None:
        raise CloudError(f"read {name}", "it is gone", "Run the same command again.")
    return answer.payload.data.decode()


@dataclass(frozen=True)
class Password(Resource):
    """A version of the password's secret: made here, before the database user gets it.

    To change the password add a version to the secret; the next provision gives it to the user.
    """

    kind: ClassVar[str] = "password"
    tags: ClassVar[tuple[str, ...]] = ("secrets", "database")
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("secretmanager.versions.list",),
        "create": (
            "secretmanager.versions.add",
            "secretmanager.versions.get",
            "secretmanager.versions.list",
        ),
        "update": (),
        "delete": (),
    }

    @property
    @override
    def name(self) -> str:
        return self.names.password_secret

    @override
    def asks(self) -> Mapping[str, Ask]:
        return ask_versions(self.names.project, [self.name])

    @override
    def observe(self, found: Found) -> Live | None:
        version = versions_found(found).get(self.name)
        kept = "the secret it is in stays"
        return None if version is None else Live({}, kept=kept, state={"version": version})

    @override
    def declared(self, live: Live | None) -> Fields:
        return {}

    @override
    def create(self, work: Work) -> None:
        version = find_certain_version(work, self.names.project, self.name)
        secret = self.names.secret(self.name)
        work.facts[self.name] = version or add_version(work, secret, token_urlsafe(PASSWORD_BYTES))


@dataclass(frozen=True)
class SecretScope(Scope):
    """A secret's policy."""

    tags: ClassVar[tuple[str, ...]] = ("secrets",)
    policy: ClassVar[str] = "secretmanager.secrets"

    @override
    def request(self) -> Request:
        return get_policy("secretmanager", "v1", self.resource)

    @override
    def set(self, cloud: Cloud, policy: Json) -> None:
        cloud.secrets.set_iam_policy(replacing(self.resource, policy))
