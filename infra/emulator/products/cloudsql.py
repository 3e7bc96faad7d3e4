"""Cloud SQL Admin v1beta4: instances. Databases and users are in cloudsql_content.py.

Only PostgreSQL, and whichever this machine has. What an instance is made of is in
cloudsql_settings.py, the servers are in sql.py.
"""

import json
import re

from google.cloud import sqladmin_v1beta4 as sa

from infra.emulator import buckets, errors, messages, pages
from infra.emulator.api import Api, Call
from infra.emulator.errors import GoogleError
from infra.emulator.machine import Machine
from infra.emulator.products.cloudsql_settings import FIXED, check, new_instance
from infra.emulator.sql import INSTANCES, Sql, flags, operation, operations, require_idle, start
from infra.emulator.world import Document

PACKAGE = "google.cloud.sqladmin_v1beta4"
INSTANCE, OPERATION = "SqlInstancesService", "SqlOperationsService"
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,96}[a-z0-9])?")
api = Api("sqladmin", prefix="/sqladmin", old_errors=True)
api.part(Machine)
api.part(Sql)
api.client(PACKAGE, INSTANCE, OPERATION, "SqlBackupRunsService", "SqlSslCertsService")
api.client(PACKAGE, "SqlConnectService", "SqlFlagsService", "SqlTiersService")


@api.method(PACKAGE, INSTANCE, "Insert")
def insert_instance(call: Call[sa.SqlInstancesInsertRequest]) -> sa.Operation:
    """A new instance: a server of its own, with the user and database `postgres`."""
    project, given = call.request.project, call.request.body
    call.require("cloudsql.instances.create", f"projects/{project}")
    if not _NAME.fullmatch(given.name) or len(f"{project}:{given.name}") > 98:
        raise errors.invalid(f"Invalid request: Invalid instance name ({given.name}).")
    body = new_instance(call.world, project, given)
    key = f"{project}/{given.name}"
    with call.world.transaction():
        if call.world.get(INSTANCES, key) is not None:
            message = "The Cloud SQL instance already exists."
            raise GoogleError(409, "ALREADY_EXISTS", message, "instanceAlreadyExists")
        call.world.put(INSTANCES, key, body)
    sql = call.cloud.part(Sql)
    password = given.root_password

    def work() -> None:
        sql.run(body)
        connection = body["connectionName"]
        if password:
            sql.databases.create_user(connection, "postgres", password)
        major, minor = sql.databases.version(connection)
        installed = f"POSTGRES_{major}_{minor}"
        _change(call, key, state="RUNNABLE", databaseInstalledVersion=installed)
        sql.add_user(project, given.name, sa.User(name="postgres"))
        sql.add_database(project, given.name, sa.Database(name="postgres"))

    def undo() -> None:
        _change(call, key, state="FAILED")

    return start(call.world, call.caller, "CREATE", project, given.name, work, undo)


@api.method(PACKAGE, INSTANCE, "Get")
def get_instance(call: Call[sa.SqlInstancesGetRequest]) -> sa.DatabaseInstance:
    """One instance."""
    body = _find(call, call.request.project, call.request.instance, "get")
    return messages.from_json(sa.DatabaseInstance, body)


@api.method(PACKAGE, INSTANCE, "List")
def list_instances(call: Call[sa.SqlInstancesListRequest]) -> sa.InstancesListResponse:
    """A project's instances."""
    project = call.request.project
    call.require("cloudsql.instances.list", f"projects/{project}")
    if call.request.filter:
        raise errors.unimplemented("the filter of SqlInstancesService.List")
    bodies = call.world.list(INSTANCES, f"{project}/")
    found = [messages.from_json(sa.DatabaseInstance, body) for body in bodies]
    some, token = pages.page(found, call.request.max_results, call.request.page_token)
    return sa.InstancesListResponse(
        kind="sql#instancesList", items=list(some), next_page_token=token
    )


@api.method(PACKAGE, INSTANCE, "Patch")
def patch_instance(call: Call[sa.SqlInstancesPatchRequest]) -> sa.Operation:
    """Changes what is given; the rest stays."""
    project, name = call.request.project, call.request.instance
    current = _find(call, project, name, "update")
    given = json.loads(call.body or b"{}")
    version = given.get("settings", {}).get("settingsVersion")
    _check_version(current, version)
    changed = json.loads(json.dumps(current))
    buckets.merge(changed, {key: value for key, value in given.items() if key not in FIXED})
    return _update(call, project, name, current, changed)


@api.method(PACKAGE, INSTANCE, "Update")
def update_instance(call: Call[sa.SqlInstancesUpdateRequest]) -> sa.Operation:
    """Replaces the settings; they must carry the version they were read with."""
    project, name = call.request.project, call.request.instance
    current = _find(call, project, name, "update")
    given = messages.dump(call.request.body)
    version = given.get("settings", {}).get("settingsVersion")
    if version is None:
        raise errors.invalid("Invalid request: settings.settingsVersion is required.")
    _check_version(current, version)
    own = {key: value for key, value in given.items() if key not in FIXED}
    return _update(call, project, name, current, {**current, **own})


@api.method(PACKAGE, INSTANCE, "Delete")
def delete_instance(call: Call[sa.SqlInstancesDeleteRequest]) -> sa.Operation:
    """Deletes an instance with its data, unless it is protected."""
    project, name = call.request.project, call.request.instance
    body = _find(call, project, name, "delete")
    if body["settings"].get("deletionProtectionEnabled"):
        raise errors.invalid(
            "The instance is protected. Please disable the deletion protection and try again. To "
            "disable deletion protection, update the instance settings with "
            "deletionProtectionEnabled set to false."
        )
    sql = call.cloud.part(Sql)
    key = f"{project}/{name}"
    with call.world.transaction():
        # Together, or one that is busy would be taken for one that is to go.
        require_idle(call.world, project, name)
        _change(call, key, state="PENDING_DELETE")
        return start(
            call.world,
            call.caller,
            "DELETE",
            project,
            name,
            lambda: sql.forget(body),
            lambda: _change(call, key, state=body["state"]),
        )


@api.method(PACKAGE, INSTANCE, "Restart")
def restart_instance(call: Call[sa.SqlInstancesRestartRequest]) -> sa.Operation:
    """Stops the server and starts it again."""
    project, name = call.request.project, call.request.instance
    body = _find(call, project, name, "restart")
    require_idle(call.world, project, name)
    sql = call.cloud.part(Sql)

    def work() -> None:
        sql.databases.stop(body["connectionName"])
        sql.run(body)

    return start(call.world, call.caller, "RESTART", project, name, work)


@api.method(PACKAGE, OPERATION, "Get")
def get_operation(call: Call[sa.SqlOperationsGetRequest]) -> sa.Operation:
    """One operation."""
    call.require("cloudsql.instances.get", f"projects/{call.request.project}")
    return operation(call.world, call.request.project, call.request.operation)


@api.method(PACKAGE, OPERATION, "List")
def list_operations(call: Call[sa.SqlOperationsListRequest]) -> sa.OperationsListResponse:
    """A project's operations, or an instance's, the newest first."""
    call.require("cloudsql.instances.get", f"projects/{call.request.project}")
    found = operations(call.world, call.request.project, call.request.instance)
    found.sort(key=lambda one: one.insert_time, reverse=True)
    some, token = pages.page(found, call.request.max_results, call.request.page_token)
    return sa.OperationsListResponse(
        kind="sql#operationsList", items=list(some), next_page_token=token
    )


@api.method(PACKAGE, "SqlTiersService", "List")
def list_tiers(call: Call[sa.SqlTiersListRequest]) -> sa.TiersListResponse:
    """Some tiers; custom ones can be had besides."""
    call.require("cloudsql.instances.list", f"projects/{call.request.project}")
    sizes = {"db-f1-micro": 614, "db-g1-small": 1740, "db-custom-1-3840": 3840}
    sizes |= {f"db-perf-optimized-N-{cpus}": cpus * 8192 for cpus in (2, 4, 8, 16, 32, 48, 64)}
    tiers = [
        sa.Tier(tier=name, RAM=mebibytes * 2**20, kind="sql#tier", Disk_Quota=3072 * 2**30)
        for name, mebibytes in sizes.items()
    ]
    return sa.TiersListResponse(kind="sql#tiersList", items=tiers)


@api.method(PACKAGE, "SqlFlagsService", "List")
def list_flags(call: Call[sa.SqlFlagsListRequest]) -> sa.FlagsListResponse:
    """Some flags of PostgreSQL; the server takes any it knows."""
    integers = ("max_connections", "work_mem", "log_min_duration_statement", "idle_session_timeout")
    names = {
        **dict.fromkeys(integers, sa.SqlFlagType.INTEGER),
        "cloudsql.iam_authentication": sa.SqlFlagType.BOOLEAN,
        "log_connections": sa.SqlFlagType.BOOLEAN,
    }
    kind = sa.SqlFlagType
    items = [
        sa.Flag(
            name=name,
            type_=kind(value),
            kind="sql#flag",
            requires_restart=name == "max_connections",
        )
        for name, value in names.items()
    ]
    return sa.FlagsListResponse(kind="sql#flagsList", items=items)


def _find(
    call: Call[sa.SqlInstancesGetRequest]
    | Call[sa.SqlInstancesPatchRequest]
    | Call[sa.SqlInstancesUpdateRequest]
    | Call[sa.SqlInstancesDeleteRequest]
    | Call[sa.SqlInstancesRestartRequest],
    project: str,
    name: str,
    verb: str,
) -> Document:
    call.require(f"cloudsql.instances.{verb}", f"projects/{project}/instances/{name}")
    return call.cloud.part(Sql).find(project, name)


def _check_version(current: Document, given: object) -> None:
    if given is not None and str(given) != current["settings"]["settingsVersion"]:
        message = "The settings version is not the current one: read the instance again."
        raise GoogleError(412, "FAILED_PRECONDITION", message, "staleData")


def _update(
    call: Call[sa.SqlInstancesPatchRequest] | Call[sa.SqlInstancesUpdateRequest],
    project: str,
    name: str,
    current: Document,
    changed: Document,
) -> sa.Operation:
    # Once through its message, which gives numbers and enums one spelling.
    body = messages.dump(messages.from_json(sa.DatabaseInstance, changed))
    body.pop("rootPassword", None)
    body["settings"]["settingsVersion"] = str(int(current["settings"]["settingsVersion"]) + 1)
    body["etag"] = pages.etag().strip('"')
    check(body)
    if body.get("databaseVersion") != current.get("databaseVersion"):
        raise errors.unimplemented("upgrades to another version of PostgreSQL")
    key = f"{project}/{name}"
    with call.world.transaction():
        require_idle(call.world, project, name)
        call.world.put(INSTANCES, key, body)
    sql = call.cloud.part(Sql)
    never = body["settings"]["activationPolicy"] == "NEVER"

    def work() -> None:
        if never or flags(body) != flags(current):
            sql.databases.stop(body["connectionName"])
        if not never:
            sql.run(body)
        _change(call, key, state="RUNNABLE")

    def undo() -> None:
        # Flags that PostgreSQL will not start with.
        with call.world.transaction():
            call.world.put(INSTANCES, key, current)
        sql.run(current)

    return start(call.world, call.caller, "UPDATE", project, name, work, undo)


def _change(
    call: Call[sa.SqlInstancesInsertRequest]
    | Call[sa.SqlInstancesPatchRequest]
    | Call[sa.SqlInstancesUpdateRequest]
    | Call[sa.SqlInstancesDeleteRequest],
    key: str,
    **fields: str,
) -> None:
    with call.world.transaction():
        if body := call.world.get(INSTANCES, key):
            call.world.put(INSTANCES, key, {**body, **fields})
