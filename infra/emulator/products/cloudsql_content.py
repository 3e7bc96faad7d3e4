"""Cloud SQL Admin v1beta4: the databases and users of an instance, really made in its server."""

from google.cloud import sqladmin_v1beta4 as sa

from infra.emulator import errors, messages
from infra.emulator.api import Api, Call
from infra.emulator.errors import GoogleError
from infra.emulator.postgres import PostgresError
from infra.emulator.sql import DATABASES, USERS, Sql, perform, require_idle, user_key
from infra.emulator.world import Document, World

PACKAGE = "google.cloud.sqladmin_v1beta4"
DATABASE, USER = "SqlDatabasesService", "SqlUsersService"
_SYSTEM = ("postgres", "cloudsqladmin", "template0", "template1")

api = Api("sqladmin", prefix="/sqladmin", old_errors=True)
api.client(PACKAGE, DATABASE, USER)


@api.method(PACKAGE, DATABASE, "Insert")
def insert_database(call: Call[sa.SqlDatabasesInsertRequest]) -> sa.Operation:
    """A new database, owned by cloudsqlsuperuser."""
    project, instance = call.request.project, call.request.instance
    given = call.request.body
    sql, connection = _ready(call.cloud.part(Sql), project, instance)
    call.require("cloudsql.databases.create", f"projects/{project}/instances/{instance}")
    require_idle(call.world, project, instance)
    _supported("charset", given.charset, "UTF8")
    _supported("collation", given.collation, "en_US.UTF8")

    def work() -> None:
        try:
            sql.databases.create_database(connection, given.name)
        except (PostgresError, ValueError) as error:
            detail = f"Detail: pq: {_detail(error)}"
            raise errors.invalid(
                f"Invalid request: failed to create database {given.name}. {detail}"
            ) from None
        sql.add_database(project, instance, given)

    return perform(call.world, call.caller, "CREATE_DATABASE", project, instance, work)


@api.method(PACKAGE, DATABASE, "Get")
def get_database(call: Call[sa.SqlDatabasesGetRequest]) -> sa.Database:
    """One database."""
    project, instance = call.request.project, call.request.instance
    call.cloud.part(Sql).find(project, instance)
    call.require("cloudsql.databases.get", f"projects/{project}/instances/{instance}")
    return _database(call.world, project, instance, call.request.database)


@api.method(PACKAGE, DATABASE, "List")
def list_databases(call: Call[sa.SqlDatabasesListRequest]) -> sa.DatabasesListResponse:
    """An instance's databases."""
    project, instance = call.request.project, call.request.instance
    call.cloud.part(Sql).find(project, instance)
    call.require("cloudsql.databases.list", f"projects/{project}/instances/{instance}")
    bodies = call.world.list(DATABASES, f"{project}/{instance}/")
    items = [messages.from_json(sa.Database, body) for body in bodies]
    return sa.DatabasesListResponse(kind="sql#databasesList", items=items)


@api.method(PACKAGE, DATABASE, "Delete")
def delete_database(call: Call[sa.SqlDatabasesDeleteRequest]) -> sa.Operation:
    """Drops a database and whoever is connected to it."""
    project, instance = call.request.project, call.request.instance
    sql, connection = _ready(call.cloud.part(Sql), project, instance)
    call.require("cloudsql.databases.delete", f"projects/{project}/instances/{instance}")
    require_idle(call.world, project, instance)
    name = _database(call.world, project, instance, call.request.database).name
    if name in _SYSTEM:
        raise errors.invalid(f"Invalid request: the system database {name} cannot be deleted.")

    def work() -> None:
        sql.databases.drop_database(connection, name)
        call.world.delete(DATABASES, f"{project}/{instance}/{name}")

    return perform(call.world, call.caller, "DELETE_DATABASE", project, instance, work)


@api.method(PACKAGE, USER, "Insert")
def insert_user(call: Call[sa.SqlUsersInsertRequest]) -> sa.Operation:
    """A new user, member of cloudsqlsuperuser."""
    project, instance = call.request.project, call.request.instance
    given = call.request.body
    sql, connection = _ready(call.cloud.part(Sql), project, instance)
    call.require("cloudsql.users.create", f"projects/{project}/instances/{instance}")
    require_idle(call.world, project, instance)
    by_password = sa.User.SqlUserType.BUILT_IN
    if given.type_ == by_password and not given.password:
        raise errors.invalid("Invalid request: a password is required.")
    if call.world.get(USERS, user_key(project, instance, given)) is not None:
        message = f"Invalid request: the user {given.name} already exists."
        raise GoogleError(409, "ALREADY_EXISTS", message, "alreadyExists")
    password = given.password if given.type_ == by_password else None

    def work() -> None:
        _set_user(sql, connection, given.name, password)
        sql.add_user(project, instance, given)

    return perform(call.world, call.caller, "CREATE_USER", project, instance, work)


@api.method(PACKAGE, USER, "Get")
def get_user(call: Call[sa.SqlUsersGetRequest]) -> sa.User:
    """One user, without the password."""
    project, instance = call.request.project, call.request.instance
    call.cloud.part(Sql).find(project, instance)
    call.require("cloudsql.users.get", f"projects/{project}/instances/{instance}")
    return _user(call.world, project, instance, call.request.name, call.request.host)


@api.method(PACKAGE, USER, "List")
def list_users(call: Call[sa.SqlUsersListRequest]) -> sa.UsersListResponse:
    """An instance's users, without their passwords."""
    project, instance = call.request.project, call.request.instance
    call.cloud.part(Sql).find(project, instance)
    call.require("cloudsql.users.list", f"projects/{project}/instances/{instance}")
    bodies = call.world.list(USERS, f"{project}/{instance}/")
    items = [messages.from_json(sa.User, body) for body in bodies]
    return sa.UsersListResponse(kind="sql#usersList", items=items)


@api.method(PACKAGE, USER, "Update")
def update_user(call: Call[sa.SqlUsersUpdateRequest]) -> sa.Operation:
    """Gives a user another password."""
    request = call.request
    project, instance = request.project, request.instance
    sql, connection = _ready(call.cloud.part(Sql), project, instance)
    call.require("cloudsql.users.update", f"projects/{project}/instances/{instance}")
    require_idle(call.world, project, instance)
    user = _user(call.world, project, instance, request.name or request.body.name, request.host)

    def work() -> None:
        if request.body.password:
            _set_user(sql, connection, user.name, request.body.password)

    return perform(call.world, call.caller, "UPDATE_USER", project, instance, work)


@api.method(PACKAGE, USER, "Delete")
def delete_user(call: Call[sa.SqlUsersDeleteRequest]) -> sa.Operation:
    """Removes a user, unless it owns something."""
    request = call.request
    project, instance = request.project, request.instance
    sql, connection = _ready(call.cloud.part(Sql), project, instance)
    call.require("cloudsql.users.delete", f"projects/{project}/instances/{instance}")
    require_idle(call.world, project, instance)
    user = _user(call.world, project, instance, request.name, request.host)

    def work() -> None:
        try:
            sql.databases.drop_user(connection, user.name)
        except PostgresError as error:
            raise errors.invalid(
                f"Invalid request: failed to delete user {user.name}: {_detail(error)}"
            ) from None
        call.world.delete(USERS, user_key(project, instance, user))

    return perform(call.world, call.caller, "DELETE_USER", project, instance, work)


def _ready(sql: Sql, project: str, instance: str) -> tuple[Sql, str]:
    body: Document = sql.find(project, instance)
    stopped = body["settings"]["activationPolicy"] == "NEVER"
    if stopped or body["state"] not in ("RUNNABLE", "PENDING_CREATE"):
        message = "Invalid request: Invalid request since instance is not running."
        raise GoogleError(400, "FAILED_PRECONDITION", message, "instanceNotRunning")
    return sql, body["connectionName"]


def _set_user(sql: Sql, connection: str, name: str, password: str | None) -> None:
    try:
        sql.databases.create_user(connection, name, password)
    except (PostgresError, ValueError) as error:
        raise errors.invalid(
            f"Invalid request: failed to change user {name}: {_detail(error)}"
        ) from None


def _supported(what: str, given: str, only: str) -> None:
    if given and given.replace("-", "").lower() != only.replace("-", "").lower():
        raise errors.unimplemented(f"databases with the {what} {given}")


def _detail(error: Exception) -> str:
    """PostgreSQL's words without psql's, nor the statement."""
    return str(error).splitlines()[0].rpartition("ERROR:")[2].strip()


def _database(world: World, project: str, instance: str, name: str) -> sa.Database:
    body = world.get(DATABASES, f"{project}/{instance}/{name}")
    if body is None:
        raise errors.not_found(f'Not Found: database "{name}" does not exist.')
    return messages.from_json(sa.Database, body)


def _user(world: World, project: str, instance: str, name: str, host: str) -> sa.User:
    body = world.get(USERS, user_key(project, instance, sa.User(name=name, host=host)))
    if body is None:
        raise errors.not_found(f"User does not exist: {name}.")
    return messages.from_json(sa.User, body)
