"""Secret Manager: secrets, and the database's password.

A value is never a field, so that no plan, log or argument ever holds one.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import ClassVar, override

from google.cloud import secretmanager_v1
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]
from google.protobuf import field_mask_pb2  # type: ignore[import-untyped,unused-ignore]

from infra.causes import is_absent
from infra.cloud import Cloud
from infra.resources.base import (
    Difference,
    Fields,
    Live,
    Resource,
    Work,
    labels_declared,
    labels_live,
)
from infra.resources.iam import Scope
from infra.retry import CloudError

PASSWORD_BYTES = 32
PAGE = 1000
APPLIED = "cookiecutter-cloudrun-applied-version"
"""Annotation: the version of the password that the database user has."""


@dataclass(frozen=True)
class Secret(Resource):
    """A secret; what is in it is not ours to declare."""

    secret: str

    kind: ClassVar[str] = "secret"
    tags: ClassVar[tuple[str, ...]] = ("secrets",)

    @property
    @override
    def name(self) -> str:
        return self.secret

    @override
    def declared(self, live: Live | None) -> Fields:
        return labels_declared(self.names)

    @override
    def read(self, work: Work) -> Live | None:
        found = find_secret(work, self.names.project, self.name)
        return None if found is None else observe(found)

    @override
    def create(self, work: Work) -> None:
        automatic = secretmanager_v1.Replication(automatic=secretmanager_v1.Replication.Automatic())
        secret = secretmanager_v1.Secret(replication=automatic, labels=self.names.labels)
        request = secretmanager_v1.CreateSecretRequest(
            parent=f"projects/{self.names.project}", secret_id=self.name, secret=secret
        )
        work.call("create", lambda: work.cloud.secrets.create_secret(request))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        found = find_secret(work, self.names.project, self.name)
        labels = {**(found.labels if found else {}), **self.names.labels}
        full = self.names.secret(self.name)
        secret = secretmanager_v1.Secret(name=full, labels=labels, etag=found.etag if found else "")
        patch(work, secret, "labels")

    @override
    def delete(self, work: Work) -> None:
        name = self.names.secret(self.name)
        work.call("delete", lambda: work.cloud.secrets.delete_secret(name=name))


def patch(work: Work, secret: secretmanager_v1.Secret, *paths: str) -> None:
    """Changes fields of a secret."""
    mask = field_mask_pb2.FieldMask(paths=paths)
    work.call("update", lambda: work.cloud.secrets.update_secret(secret=secret, update_mask=mask))


def observe(secret: secretmanager_v1.Secret) -> Live:
    """A secret's fields."""
    return Live(labels_live(secret.labels), labels=dict(secret.labels))


def find_secret(work: Work, project: str, name: str) -> secretmanager_v1.Secret | None:
    """A secret: from the list while the plan is made, and itself later, when a list may lag."""
    if work.reads is None:
        full = f"projects/{project}/secrets/{name}"
        return work.read("the secret", lambda: work.cloud.secrets.get_secret(name=full))
    request = secretmanager_v1.ListSecretsRequest(parent=f"projects/{project}", page_size=PAGE)
    found = work.shared(
        ("secrets",), "the secrets", lambda: list(work.cloud.secrets.list_secrets(request))
    )
    return next((each for each in found or [] if each.name.rpartition("/")[2] == name), None)


def newest_version(cloud: Cloud, secret: str) -> str | None:
    """Number of the newest version of a secret, by its full name, that can be read.

    Raises NotFound when there is no such secret.
    """
    request = secretmanager_v1.ListSecretVersionsRequest(parent=secret, filter="state:ENABLED")
    versions = list(cloud.secrets.list_secret_versions(request))
    numbers = [
        int(each.name.rpartition("/")[2]) for each in versions if each.state.name == "ENABLED"
    ]
    return str(max(numbers)) if numbers else None


def find_version(work: Work, project: str, name: str) -> str | None:
    """The version of a secret to read: the one made in this run, or else the newest."""
    made = work.facts.get(name)
    if made:
        return made
    full = f"projects/{project}/secrets/{name}"
    if work.reads is None:
        return work.read("its versions", lambda: newest_of_all(work.cloud, full))
    return work.shared(("version", name), "its versions", lambda: newest_version(work.cloud, full))


def newest_of_all(cloud: Cloud, secret: str) -> str | None:
    """Like `newest_version`, of a version too that a list, which may lag, does not have yet.

    A version that is asked for by its number is told at once.
    """
    newest = newest_version(cloud, secret)
    while True:
        following = int(newest or 0) + 1
        try:
            found = cloud.secrets.get_secret_version(name=f"{secret}/versions/{following}")
        except Exception as error:
            if is_absent(error):
                return newest
            raise
        if found.state.name != "ENABLED":
            return newest
        newest = str(following)


def find_versions(work: Work, project: str, names: Iterable[str]) -> dict[str, str]:
    """The versions to read, by the secret's short name; one that has none is left out."""
    found = {name: find_version(work, project, name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


def newest_versions(cloud: Cloud, names: Iterable[str]) -> dict[str, str]:
    """The newest versions of secrets, by their short names; those with none are left out.

    Raises GoogleAPICallError, NotFound too for a secret that is not there.
    """
    listed = list(names)
    if not listed:
        return {}
    with ThreadPoolExecutor(len(listed)) as pool:
        found = pool.map(lambda name: newest_version(cloud, cloud.names.secret(name)), listed)
    return {name: number for name, number in zip(listed, found, strict=True) if number}


def add_version(work: Work, secret: str, value: str) -> str:
    """Adds a version to a secret, by its full name. Returns its number."""
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
    parted: ClassVar[bool] = True

    @property
    @override
    def name(self) -> str:
        return self.names.password_secret

    @override
    def declared(self, live: Live | None) -> Fields:
        return {}

    @override
    def read(self, work: Work) -> Live | None:
        version = find_version(work, self.names.project, self.name)
        return None if version is None else Live({}, state={"version": version})

    @override
    def create(self, work: Work) -> None:
        secret = self.names.secret(self.name)
        version = work.read("its versions", lambda: newest_of_all(work.cloud, secret))
        work.facts[self.name] = version or add_version(work, secret, token_urlsafe(PASSWORD_BYTES))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        raise NotImplementedError

    @override
    def delete(self, work: Work) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class SecretScope(Scope):
    """A secret's policy."""

    tags: ClassVar[tuple[str, ...]] = ("secrets",)

    @override
    def get(self, cloud: Cloud, request: iam_policy_pb2.GetIamPolicyRequest) -> policy_pb2.Policy:
        return cloud.secrets.get_iam_policy(request)

    @override
    def set(self, cloud: Cloud, request: iam_policy_pb2.SetIamPolicyRequest) -> None:
        cloud.secrets.set_iam_policy(request)
