"""Cloud SQL: the instance, its database, and the user the service logs in as."""

from dataclasses import dataclass
from typing import ClassVar, override

from google.cloud import secretmanager_v1, sqladmin_v1beta4
from google.protobuf import wrappers_pb2  # type: ignore[import-untyped,unused-ignore]

from infra.resources.base import (
    Difference,
    Fields,
    Live,
    Resource,
    Work,
    labels_declared,
    labels_live,
)
from infra.resources.secrets import APPLIED, find_secret, find_version, patch, read_version
from infra.retry import CloudError
from infra.yaml_file import Value

LOG_DAYS = 7
CURRENT = "that of the secret"
BEHIND = "another than the secret's"
FLAGS = "settings.flags."
PENDING = {"PENDING_CREATE": "it is being created", "MAINTENANCE": "Google is at work on it"}
BROKEN = {"FAILED", "SUSPENDED"}
STATE = "state"


def finish(work: Work, doing: str, operation: sqladmin_v1beta4.Operation) -> None:
    """Waits for an operation of Cloud SQL's, which has its own kind. Raises CloudError."""
    project, name = operation.target_project or work.cloud.names.project, operation.name
    last = [operation]

    def done() -> bool:
        request = sqladmin_v1beta4.SqlOperationsGetRequest(project=project, operation=name)
        last[0] = work.cloud.sql_operations.get(request)
        return last[0].status == sqladmin_v1beta4.Operation.SqlOperationStatus.DONE

    work.retry.until(doing, done, operation=name)
    errors = last[0].error.errors if last[0].error else []
    if errors:
        said = "; ".join(f"{each.message} ({each.code})" for each in errors)
        raise CloudError(doing, said, "See the instance's operations: gcloud sql operations list")


@dataclass(frozen=True)
class Instance(Resource):
    """A Cloud SQL instance. What grows by itself, its disk, is not declared."""

    kind: ClassVar[str] = "sql instance"
    tags: ClassVar[tuple[str, ...]] = ("database",)
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
        return self.names.environment.database.instance

    @override
    def declared(self, live: Live | None) -> Fields:
        wanted = self.names.environment.database
        fields: Fields = {
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
        return {**fields, **flags, **labels_declared(self.names)}

    @override
    def read(self, work: Work) -> Live | None:
        found = self.find(work)
        return None if found is None else observe(found)

    @override
    def differences(self, live: Live) -> list[Difference]:
        found = super().differences(live)
        state = live.state.get(STATE, "")
        return [*found, Difference(STATE, state, "RUNNABLE")] if state in BROKEN else found

    def find(self, work: Work) -> sqladmin_v1beta4.DatabaseInstance | None:
        """The instance itself."""
        request = sqladmin_v1beta4.SqlInstancesGetRequest(
            project=self.names.project, instance=self.name
        )
        return work.read("the instance", lambda: work.cloud.sql_instances.get(request))

    @override
    def create(self, work: Work) -> None:
        body = sqladmin_v1beta4.DatabaseInstance(
            name=self.name,
            region=self.names.region,
            database_version=self.names.environment.database.version,
            settings=self.settings(None),
        )
        request = sqladmin_v1beta4.SqlInstancesInsertRequest(project=self.names.project, body=body)
        creating = work.call("create", lambda: work.cloud.sql_instances.insert(request))
        finish(work, "creating", creating)

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        settings = self.settings(self.find(work))
        body = sqladmin_v1beta4.DatabaseInstance(settings=settings)
        request = sqladmin_v1beta4.SqlInstancesPatchRequest(
            project=self.names.project, instance=self.name, body=body
        )
        updating = work.call("update", lambda: work.cloud.sql_instances.patch(request))
        finish(work, "updating", updating)

    def settings(self, live: sqladmin_v1beta4.DatabaseInstance | None) -> sqladmin_v1beta4.Settings:
        """What we declare; lists and maps, which are replaced whole, with what is there."""
        wanted = self.names.environment.database
        flags = {each.name: each.value for each in live.settings.database_flags} if live else {}
        labels = dict(live.settings.user_labels) if live else {}
        backup = sqladmin_v1beta4.BackupConfiguration(
            enabled=wrappers_pb2.BoolValue(value=wanted.backups),
            point_in_time_recovery_enabled=wrappers_pb2.BoolValue(value=wanted.backups),
        )
        if wanted.backups:
            backup.transaction_log_retention_days = wrappers_pb2.Int32Value(value=LOG_DAYS)
        return sqladmin_v1beta4.Settings(
            settings_version=live.settings.settings_version if live else None,
            edition=wanted.edition,
            tier=wanted.tier,
            availability_type=wanted.availability,
            deletion_protection_enabled=wrappers_pb2.BoolValue(value=wanted.deletion_protection),
            backup_configuration=backup,
            storage_auto_resize=wrappers_pb2.BoolValue(value=True),
            ip_configuration=sqladmin_v1beta4.IpConfiguration(
                ipv4_enabled=wrappers_pb2.BoolValue(value=True),
                ssl_mode=sqladmin_v1beta4.IpConfiguration.SslMode.ENCRYPTED_ONLY,
            ),
            database_flags=[
                sqladmin_v1beta4.DatabaseFlags(name=name, value=value)
                for name, value in {**flags, **wanted.flags}.items()
            ],
            user_labels={**labels, **self.names.labels},
        )

    @override
    def delete(self, work: Work) -> None:
        request = sqladmin_v1beta4.SqlInstancesDeleteRequest(
            project=self.names.project, instance=self.name
        )
        deleting = work.call("delete", lambda: work.cloud.sql_instances.delete(request))
        finish(work, "deleting", deleting)


def observe(found: sqladmin_v1beta4.DatabaseInstance) -> Live:
    """An instance's fields."""
    settings = found.settings
    backup, network = settings.backup_configuration, settings.ip_configuration
    fields: dict[str, Value] = {
        "region": found.region,
        "databaseVersion": found.database_version.name,
        "settings.edition": settings.edition.name,
        "settings.tier": settings.tier,
        "settings.availability": settings.availability_type.name,
        "settings.deletionProtection": bool(settings.deletion_protection_enabled),
        "settings.backups": bool(backup.enabled),
        "settings.pointInTimeRecovery": bool(backup.point_in_time_recovery_enabled),
        "settings.storageAutoResize": bool(settings.storage_auto_resize),
        "settings.ipv4": bool(network.ipv4_enabled),
        "settings.sslMode": network.ssl_mode.name,
        **{f"{FLAGS}{each.name}": each.value for each in settings.database_flags},
        **labels_live(settings.user_labels),
    }
    protected = (
        "it is protected against deletion: set deletion_protection: false, and provision"
        if settings.deletion_protection_enabled
        else ""
    )
    state = {STATE: found.state.name, "version": found.database_version.name}
    return Live(
        fields,
        labels=dict(settings.user_labels),
        protected=protected,
        pending=PENDING.get(found.state.name, ""),
        state=state,
    )


@dataclass(frozen=True)
class Database(Resource):
    """A database of the instance."""

    kind: ClassVar[str] = "database"
    tags: ClassVar[tuple[str, ...]] = ("database",)
    parted: ClassVar[bool] = True

    @property
    @override
    def name(self) -> str:
        return self.names.environment.database.name

    @override
    def declared(self, live: Live | None) -> Fields:
        return {}

    @override
    def read(self, work: Work) -> Live | None:
        request = sqladmin_v1beta4.SqlDatabasesGetRequest(
            project=self.names.project,
            instance=self.names.environment.database.instance,
            database=self.name,
        )
        found = work.read("the database", lambda: work.cloud.sql_databases.get(request))
        return None if found is None else Live({})

    @override
    def create(self, work: Work) -> None:
        instance = self.names.environment.database.instance
        body = sqladmin_v1beta4.Database(name=self.name, instance=instance, charset="UTF8")
        request = sqladmin_v1beta4.SqlDatabasesInsertRequest(
            project=self.names.project, instance=instance, body=body
        )
        creating = work.call("create", lambda: work.cloud.sql_databases.insert(request))
        finish(work, "creating", creating)

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        raise NotImplementedError

    @override
    def delete(self, work: Work) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class User(Resource):
    """The user the service logs in as. Its password is what the secret's newest version says.

    Google never tells a password, so the secret remembers which version the user was given.
    """

    kind: ClassVar[str] = "database user"
    tags: ClassVar[tuple[str, ...]] = ("database",)
    parted: ClassVar[bool] = True

    @property
    @override
    def name(self) -> str:
        return self.names.environment.database.user

    @property
    def instance(self) -> str:
        """The instance it is a user of."""
        return self.names.environment.database.instance

    @override
    def declared(self, live: Live | None) -> Fields:
        return {"password": CURRENT}

    @override
    def read(self, work: Work) -> Live | None:
        if not self.exists(work):
            return None
        secret = find_secret(work, self.names.project, self.names.password_secret)
        version = find_version(work, self.names.project, self.names.password_secret)
        return observe_user(secret, version)

    def exists(self, work: Work) -> bool:
        """Whether the instance has the user."""
        request = sqladmin_v1beta4.SqlUsersListRequest(
            project=self.names.project, instance=self.instance
        )
        found = work.read("the users", lambda: work.cloud.sql_users.list(request))
        return any(each.name == self.name for each in found.items) if found else False

    @override
    def create(self, work: Work) -> None:
        version, password = self.password(work)
        body = sqladmin_v1beta4.User(name=self.name, password=password)
        request = sqladmin_v1beta4.SqlUsersInsertRequest(
            project=self.names.project, instance=self.instance, body=body
        )
        creating = work.call("create", lambda: work.cloud.sql_users.insert(request))
        finish(work, "creating", creating)
        self.remember(work, version)

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        version, password = self.password(work)
        body = sqladmin_v1beta4.User(name=self.name, password=password)
        request = sqladmin_v1beta4.SqlUsersUpdateRequest(
            project=self.names.project, instance=self.instance, name=self.name, body=body
        )
        updating = work.call("update", lambda: work.cloud.sql_users.update(request))
        finish(work, "updating", updating)
        self.remember(work, version)

    def password(self, work: Work) -> tuple[str, str]:
        """The version that is to be the user's password, and what is in it."""
        name = self.names.password_secret
        version = find_version(work, self.names.project, name)
        if version is None:
            raise CloudError("read the password", f"the secret {name} has no version")
        return version, read_version(work, self.names.secret(name), version)

    def remember(self, work: Work, version: str) -> None:
        """Notes on the secret which version the user has."""
        name = self.names.password_secret
        found = find_secret(work, self.names.project, name)
        secret = secretmanager_v1.Secret(
            name=self.names.secret(name),
            annotations={**(found.annotations if found else {}), APPLIED: version},
            etag=found.etag if found else "",
        )
        patch(work, secret, "annotations")

    @override
    def delete(self, work: Work) -> None:
        raise NotImplementedError


def observe_user(secret: secretmanager_v1.Secret | None, version: str | None) -> Live:
    """A user's fields: whether its password is the one in the secret."""
    applied = secret.annotations.get(APPLIED) if secret else None
    return Live({"password": CURRENT if version and applied == version else BEHIND})
