"""Cloud SQL: the instance, its database, and the user the service logs in as.

Services of an environment may share an instance: it belongs to the one that made it, and the others
put a label on it, and only their own database and user in it. Google's client is called in
database_writes.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, override

from infra.resources import database_writes as writes
from infra.resources.asks import Ask, fields, flag, listed, text, texts
from infra.resources.base import (
    TRUE,
    Difference,
    Fields,
    Found,
    Live,
    Resource,
    Work,
    belongs_to_sibling,
    labels_declared,
    labels_live,
    owned,
    owner,
    shared_label,
    sharers,
)
from infra.resources.secrets import APPLIED, ask_secret, ask_version, patch, read_version
from infra.rest import Request
from infra.retry import CloudError
from infra.yaml_file import Value

CURRENT = "that of the secret"
BEHIND = "another than the secret's"
FLAGS = "settings.flags."
PAGE = "1000"
PENDING = {
    "PENDING_CREATE": "it is being created",
    "PENDING_DELETE": "it is being deleted",
    "MAINTENANCE": "Google is at work on it",
}
BROKEN = {"FAILED", "SUSPENDED"}
STATE = "state"
PROTECTED = "it is protected against deletion: set deletion_protection: false, and provision"


@dataclass(frozen=True)
class InDatabase(Resource):
    """What is on Cloud SQL."""

    @property
    def instance(self) -> str:
        """The instance's short name."""
        return self.names.environment.database.instance

    @property
    def path(self) -> str:
        """Where the instances are."""
        return f"sql/v1beta4/projects/{self.names.project}/instances"

    def ask_instance(self) -> Ask:
        """Asks for the instance."""
        instances = Request("sqladmin", self.path, (("maxResults", PAGE),), "items")
        instance = Request("sqladmin", f"{self.path}/{self.instance}")
        return Ask("the instances", instances, instance, ("name", self.instance))

    def ask_within(self, collection: str, name: str) -> Ask:
        """Asks for something in the instance."""
        path = f"{self.path}/{self.instance}/{collection}"
        within = Request("sqladmin", path, (), "items")
        item = Request("sqladmin", f"{path}/{name}")
        return Ask(f"the {collection} of {self.instance}", within, item, ("name", name))

    def labels_within(self, found: Found) -> Mapping[str, str] | None:
        """Whose something in the instance is: ours, unless the instance is another's that we never
        joined; then a database of our name is none of ours."""
        labels = instance_labels(found.get("instance"))
        return None if owned(labels, self.names) or shared_label(self.names) in labels else labels


@dataclass(frozen=True)
class Instance(InDatabase):
    """A Cloud SQL instance. What grows by itself, its disk, is not declared."""

    kind: ClassVar[str] = "sql instance"
    tags: ClassVar[tuple[str, ...]] = ("database",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("cloudsql.instances.get", "cloudsql.instances.list"),
        "create": ("cloudsql.instances.create", "cloudsql.instances.get"),
        "update": ("cloudsql.instances.get", "cloudsql.instances.update"),
        "delete": ("cloudsql.instances.delete", "cloudsql.instances.get"),
    }
    fixed: ClassVar[dict[str, str]] = {
        "region": "an instance can't move: give database.instance another name",
        "databaseVersion": "a major upgrade stops the database and can't be undone; do it with "
        "gcloud sql instances patch INSTANCE --database-version=VERSION",
        STATE: "its creation failed, or its project has no billing; see, and delete it if it is "
        "of no use, with gcloud sql instances describe|delete INSTANCE, and run this again",
    }

    @property
    @override
    def name(self) -> str:
        return self.instance

    @override
    def asks(self) -> Mapping[str, Ask]:
        return {"instance": self.ask_instance()}

    @override
    def observe(self, found: Found) -> Live | None:
        instance = found.get("instance")
        if instance is None:
            return None
        settings = fields(instance, "settings")
        state = {
            STATE: text(instance, "state"),
            "version": text(instance, "databaseVersion"),
            "tier": text(settings, "tier"),
        }
        return Live(
            observed(instance),
            labels=instance_labels(instance),
            protected=PROTECTED if flag(settings, "deletionProtectionEnabled") else "",
            kept=self.kept(instance_labels(instance)),
            pending=PENDING.get(state[STATE], ""),
            state=state,
        )

    @override
    def differences(self, live: Live) -> list[Difference]:
        found = super().differences(live)
        state = live.state.get(STATE, "")
        return [*found, Difference(STATE, state, "RUNNABLE")] if state in BROKEN else found

    def kept(self, labels: Mapping[str, str]) -> str:
        """Why it stays when the service goes, "" when it goes too."""
        if belongs_to_sibling(labels, self.names):
            return owner(labels)
        others = sharers(labels, self.names)
        return f"{' and '.join(others)} {'use' if others[1:] else 'uses'} it too" if others else ""

    @override
    def is_ours(self, live: Live) -> bool:
        return super().is_ours(live) or self.is_shared(live)

    def is_shared(self, live: Live | None) -> bool:
        """Whether it is another service's, and ours only to use."""
        return live is not None and belongs_to_sibling(live.labels or {}, self.names)

    @override
    def taken_back(self, live: Live) -> list[Difference]:
        label = shared_label(self.names)
        is_there = label in (live.labels or {})
        return [Difference(f"labels.{label}", TRUE, None)] if is_there else []

    @override
    def declared(self, live: Live | None) -> Fields:
        if self.is_shared(live):
            return {f"labels.{shared_label(self.names)}": TRUE}
        wanted = self.names.environment.database
        declared: Fields = {
            "region": self.names.region,
            "databaseVersion": wanted.version,
            "settings.edition": wanted.edition,
            "settings.tier": wanted.tier,
            "settings.availability": wanted.availability,
            "settings.deletionProtection": wanted.deletion_protection,
            "settings.backups": wanted.backups,
            "settings.pointInTimeRecovery": wanted.backups,
            "settings.storageAutoResize": True,
            "settings.ipv4": True,
            "settings.sslMode": "ENCRYPTED_ONLY",
        }
        flags: Fields = {f"{FLAGS}{name}": value for name, value in wanted.flags.items()}
        return {**declared, **flags, **labels_declared(self.names)}

    @override
    def create(self, work: Work) -> None:
        writes.create_instance(work, self.names)

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        live = work.ask(self.ask_instance())
        if not belongs_to_sibling(instance_labels(live), self.names):
            writes.update_instance(work, self.names, live)
        elif any(each.new is None for each in differences):
            writes.leave_instance(work, self.names, live)
        else:
            writes.share_instance(work, self.names, live)

    @override
    def delete(self, work: Work) -> None:
        writes.delete_instance(work, self.names)


def instance_labels(instance: Value) -> dict[str, str]:
    """An instance's labels."""
    return texts(instance, "settings", "userLabels")


def observed(instance: Value) -> Fields:
    """An instance's fields."""
    settings = fields(instance, "settings")
    backup = fields(settings, "backupConfiguration")
    network = fields(settings, "ipConfiguration")
    flags: Fields = {
        f"{FLAGS}{text(each, 'name')}": text(each, "value")
        for each in listed(settings, "databaseFlags")
    }
    return {
        "region": text(instance, "region"),
        "databaseVersion": text(instance, "databaseVersion"),
        "settings.edition": text(settings, "edition"),
        "settings.tier": text(settings, "tier"),
        "settings.availability": text(settings, "availabilityType"),
        "settings.deletionProtection": flag(settings, "deletionProtectionEnabled"),
        "settings.backups": flag(backup, "enabled"),
        "settings.pointInTimeRecovery": flag(backup, "pointInTimeRecoveryEnabled"),
        "settings.storageAutoResize": flag(settings, "storageAutoResize"),
        "settings.ipv4": flag(network, "ipv4Enabled"),
        "settings.sslMode": text(network, "sslMode"),
        **flags,
        **labels_live(instance_labels(instance)),
    }


@dataclass(frozen=True)
class Database(InDatabase):
    """A database of the instance."""

    kind: ClassVar[str] = "database"
    tags: ClassVar[tuple[str, ...]] = ("database",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": (
            "cloudsql.databases.get",
            "cloudsql.databases.list",
            "cloudsql.instances.get",
            "cloudsql.instances.list",
        ),
        "create": ("cloudsql.databases.create", "cloudsql.instances.get"),
        "update": (),
        "delete": ("cloudsql.databases.delete", "cloudsql.instances.get"),
    }

    @property
    @override
    def name(self) -> str:
        return self.names.environment.database.name

    @override
    def asks(self) -> Mapping[str, Ask]:
        database = self.ask_within("databases", self.name)
        return {"database": database, "instance": self.ask_instance()}

    @override
    def observe(self, found: Found) -> Live | None:
        if found.get("database") is None:
            return None
        return Live({}, labels=self.labels_within(found))

    @override
    def declared(self, live: Live | None) -> Fields:
        return {}

    @override
    def create(self, work: Work) -> None:
        writes.create_database(work, self.names)

    @override
    def delete(self, work: Work) -> None:
        writes.delete_database(work, self.names)


@dataclass(frozen=True)
class User(InDatabase):
    """The user the service logs in as. Its password is what the secret's newest version says.

    Google never tells a password, so the secret remembers which version the user was given.
    """

    kind: ClassVar[str] = "database user"
    tags: ClassVar[tuple[str, ...]] = ("database",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": (
            "cloudsql.instances.get",
            "cloudsql.instances.list",
            "cloudsql.users.get",
            "cloudsql.users.list",
            "secretmanager.secrets.get",
            "secretmanager.secrets.list",
            "secretmanager.versions.list",
        ),
        "create": (
            "cloudsql.instances.get",
            "cloudsql.users.create",
            "secretmanager.secrets.get",
            "secretmanager.secrets.update",
            "secretmanager.versions.access",
            "secretmanager.versions.list",
        ),
        "update": (
            "cloudsql.instances.get",
            "cloudsql.users.update",
            "secretmanager.secrets.get",
            "secretmanager.secrets.update",
            "secretmanager.versions.access",
            "secretmanager.versions.list",
        ),
        "delete": ("cloudsql.instances.get", "cloudsql.users.delete"),
    }

    @property
    @override
    def name(self) -> str:
        return self.names.environment.database.user

    @override
    def asks(self) -> Mapping[str, Ask]:
        project, secret = self.names.project, self.names.password_secret
        return {
            "user": self.ask_within("users", self.name),
            "instance": self.ask_instance(),
            "secret": ask_secret(project, secret),
            "version": ask_version(project, secret),
        }

    @override
    def observe(self, found: Found) -> Live | None:
        if found.get("user") is None:
            return None
        applied, version = text(found["secret"], "annotations", APPLIED), found.get("version")
        password = CURRENT if version and applied == version else BEHIND
        return Live({"password": password}, labels=self.labels_within(found))

    @override
    def declared(self, live: Live | None) -> Fields:
        return {"password": CURRENT}

    @override
    def create(self, work: Work) -> None:
        version, password = self.password(work)
        writes.create_user(work, self.names, password)
        self.remember(work, version)

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        version, password = self.password(work)
        writes.update_user(work, self.names, password)
        self.remember(work, version)

    def password(self, work: Work) -> tuple[str, str]:
        """The version that is to be the user's password, and what is in it."""
        name = self.names.password_secret
        version = work.ask(ask_version(self.names.project, name))
        if version is None:
            raise CloudError("read the password", f"the secret {name} has no version")
        return str(version), read_version(work, self.names.secret(name), str(version))

    def remember(self, work: Work, version: str) -> None:
        """Notes on the secret which version the user has."""
        secret = self.names.password_secret
        patch(work, self.names.project, secret, "annotations", {APPLIED: version})

    @override
    def delete(self, work: Work) -> None:
        writes.delete_user(work, self.names)
