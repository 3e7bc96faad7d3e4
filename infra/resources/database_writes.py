"""Cloud SQL, written with Google's client, which is imported when something is written.

Its operations are of its own kind, and it carries out one at a time on an instance.
"""

# ruff: noqa: PLC0415

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.names import Names
from infra.resources.asks import at, fields, listed, text, texts
from infra.resources.base import TRUE, Work, shared_label
from infra.resources.iam import send
from infra.rest import Json
from infra.retry import CloudError
from infra.yaml_file import Value

if TYPE_CHECKING:
    from google.cloud import sqladmin_v1beta4

LOG_DAYS = 7
OPERATIONS = "See the instance's operations: gcloud sql operations list"


def carry_out(
    work: Work, verb: str, doing: str, start: Callable[[], "sqladmin_v1beta4.Operation"]
) -> None:
    """Starts an operation and waits for its end. Raises CloudError."""
    from google.cloud import sqladmin_v1beta4

    operation = work.call(verb, start)
    project, name = operation.target_project or work.cloud.names.project, operation.name
    request = sqladmin_v1beta4.SqlOperationsGetRequest(project=project, operation=name)
    last = [operation]

    def done() -> bool:
        last[0] = work.cloud.sql_operations.get(request)
        return last[0].status == sqladmin_v1beta4.Operation.SqlOperationStatus.DONE

    work.retry.until(doing, done, operation=name)
    errors = last[0].error.errors if last[0].error else []
    if errors:
        said = "; ".join(f"{each.message} ({each.code})" for each in errors)
        raise CloudError(doing, said, OPERATIONS)


def create_instance(work: Work, names: Names) -> None:
    """Makes the instance that is declared."""
    from google.cloud import sqladmin_v1beta4

    wanted = names.environment.database
    body = sqladmin_v1beta4.DatabaseInstance(
        name=wanted.instance,
        region=names.region,
        database_version=wanted.version,
        settings=declared_settings(names, None),
    )
    request = sqladmin_v1beta4.SqlInstancesInsertRequest(project=names.project, body=body)
    carry_out(work, "create", "creating", lambda: work.cloud.sql_instances.insert(request))


def update_instance(work: Work, names: Names, live: Value) -> None:
    """Makes the instance what is declared; `live` is what it is now."""
    patch_instance(work, names, declared_settings(names, live))


def share_instance(work: Work, names: Names, live: Value) -> None:
    """Puts our label on another service's instance. Nothing else of it changes."""
    from google.cloud import sqladmin_v1beta4

    labels = {**texts(live, "settings", "userLabels"), shared_label(names): TRUE}
    version = settings_version(live)
    settings = sqladmin_v1beta4.Settings(settings_version=version, user_labels=labels)
    patch_instance(work, names, settings)


def leave_instance(work: Work, names: Names, live: Value) -> None:
    """Takes our label off another service's instance. Nothing else of it changes."""
    # A patch merges labels, and takes none off; sent as it was read, no setting gets lost.
    labels = texts(live, "settings", "userLabels")
    labels.pop(shared_label(names), None)
    settings: Json = {**fields(live, "settings"), "userLabels": {**labels}}
    instance = f"projects/{names.project}/instances/{names.environment.database.instance}"
    url = f"{work.cloud.url('sqladmin')}/sql/v1beta4/{instance}"

    def replace() -> "sqladmin_v1beta4.Operation":
        from google.cloud import sqladmin_v1beta4

        answer = json.dumps(send(work.cloud, "PUT", url, {"settings": settings}))
        operation: sqladmin_v1beta4.Operation = sqladmin_v1beta4.Operation.from_json(
            answer, ignore_unknown_fields=True
        )
        return operation

    carry_out(work, "update", "updating", replace)


def patch_instance(work: Work, names: Names, settings: "sqladmin_v1beta4.Settings") -> None:
    """Changes what is given."""
    from google.cloud import sqladmin_v1beta4

    request = sqladmin_v1beta4.SqlInstancesPatchRequest(
        project=names.project,
        instance=names.environment.database.instance,
        body=sqladmin_v1beta4.DatabaseInstance(settings=settings),
    )
    carry_out(work, "update", "updating", lambda: work.cloud.sql_instances.patch(request))


def declared_settings(names: Names, live: Value) -> "sqladmin_v1beta4.Settings":
    """What we declare; lists and maps, which are replaced whole, with what is there."""
    from google.cloud import sqladmin_v1beta4
    from google.protobuf import wrappers_pb2  # type: ignore[import-untyped,unused-ignore]

    wanted, there = names.environment.database, at(live, "settings")
    flags = {text(each, "name"): text(each, "value") for each in listed(there, "databaseFlags")}
    backup = sqladmin_v1beta4.BackupConfiguration(
        enabled=wrappers_pb2.BoolValue(value=wanted.backups),
        point_in_time_recovery_enabled=wrappers_pb2.BoolValue(value=wanted.backups),
    )
    if wanted.backups:
        backup.transaction_log_retention_days = wrappers_pb2.Int32Value(value=LOG_DAYS)
    return sqladmin_v1beta4.Settings(
        settings_version=settings_version(live),
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
        user_labels={**texts(there, "userLabels"), **names.labels},
    )


def settings_version(live: Value) -> int | None:
    """The version of the settings that a change is based on."""
    version = text(live, "settings", "settingsVersion")
    return int(version) if version else None


def delete_instance(work: Work, names: Names) -> None:
    """Deletes the instance, with all that is in it."""
    from google.cloud import sqladmin_v1beta4

    request = sqladmin_v1beta4.SqlInstancesDeleteRequest(
        project=names.project, instance=names.environment.database.instance
    )
    carry_out(work, "delete", "deleting", lambda: work.cloud.sql_instances.delete(request))


def create_database(work: Work, names: Names) -> None:
    """Makes the database."""
    from google.cloud import sqladmin_v1beta4

    wanted = names.environment.database
    body = sqladmin_v1beta4.Database(name=wanted.name, instance=wanted.instance, charset="UTF8")
    request = sqladmin_v1beta4.SqlDatabasesInsertRequest(
        project=names.project, instance=wanted.instance, body=body
    )
    carry_out(work, "create", "creating", lambda: work.cloud.sql_databases.insert(request))


def delete_database(work: Work, names: Names) -> None:
    """Deletes the database, with all that is in it."""
    from google.cloud import sqladmin_v1beta4

    wanted = names.environment.database
    request = sqladmin_v1beta4.SqlDatabasesDeleteRequest(
        project=names.project, instance=wanted.instance, database=wanted.name
    )
    carry_out(work, "delete", "deleting", lambda: work.cloud.sql_databases.delete(request))


def create_user(work: Work, names: Names, password: str) -> None:
    """Makes the user."""
    from google.cloud import sqladmin_v1beta4

    wanted = names.environment.database
    request = sqladmin_v1beta4.SqlUsersInsertRequest(
        project=names.project,
        instance=wanted.instance,
        body=sqladmin_v1beta4.User(name=wanted.user, password=password),
    )
    carry_out(work, "create", "creating", lambda: work.cloud.sql_users.insert(request))


def update_user(work: Work, names: Names, password: str) -> None:
    """Gives the user another password."""
    from google.cloud import sqladmin_v1beta4

    wanted = names.environment.database
    request = sqladmin_v1beta4.SqlUsersUpdateRequest(
        project=names.project,
        instance=wanted.instance,
        name=wanted.user,
        body=sqladmin_v1beta4.User(name=wanted.user, password=password),
    )
    carry_out(work, "update", "updating", lambda: work.cloud.sql_users.update(request))


def delete_user(work: Work, names: Names) -> None:
    """Deletes the user."""
    from google.cloud import sqladmin_v1beta4

    wanted = names.environment.database
    request = sqladmin_v1beta4.SqlUsersDeleteRequest(
        project=names.project, instance=wanted.instance, name=wanted.user
    )
    carry_out(work, "delete", "deleting", lambda: work.cloud.sql_users.delete(request))
