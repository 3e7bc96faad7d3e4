"""Cloud SQL's instances as a part of the cloud, and its operations, which are its own.

Each instance is a real server, started with the emulator; at most one operation changes it.
"""

import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from google.cloud import sqladmin_v1beta4 as sa

from infra.emulator import faults_effects, iam, messages, pages
from infra.emulator.cloud import Cloud, Part
from infra.emulator.errors import GoogleError
from infra.emulator.iam import Caller
from infra.emulator.machine import Machine
from infra.emulator.postgres import PostgresError
from infra.emulator.runtime.sql import Databases
from infra.emulator.world import Document, World

INSTANCES, DATABASES, USERS = "sql_instances", "sql_databases", "sql_users"
OPERATIONS = "sql_operations"
BASE = "https://sqladmin.googleapis.com/sql/v1beta4/projects"
_STATUS = sa.Operation.SqlOperationStatus
_TYPE = sa.Operation.SqlOperationType


class Sql(Part):
    """The servers of every instance, and what is in them."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._machine = cloud.part(Machine)
        self._started = False

    @property
    def world(self) -> World:
        """The emulator's memory."""
        return self.cloud.world

    @property
    def databases(self) -> Databases:
        """The servers, by connection name."""
        return self._machine.runtime.databases

    def start(self) -> None:
        """Starts every instance that should run, for whichever product asks first."""
        if self._started:
            return
        self._started = True
        self._machine.start()
        interrupt(self.world)
        bodies = self.world.list(INSTANCES)
        if bodies:
            with ThreadPoolExecutor(len(bodies)) as pool:
                list(pool.map(self._resume, bodies))

    def run(self, body: Document) -> None:
        """Starts an instance's server with its flags, if it does not run. Raises PostgresError."""
        self.databases.start(body["connectionName"], flags(body))

    def find(self, project: str, name: str) -> Document:
        """An instance, or 404."""
        body = self.world.get(INSTANCES, f"{project}/{name}")
        if body is None:
            message = "The Cloud SQL instance does not exist."
            raise GoogleError(404, "NOT_FOUND", message, "instanceDoesNotExist")
        return body

    def forget(self, body: Document) -> None:
        """Deletes an instance with all that is in it."""
        self.databases.delete(body["connectionName"])
        key = f"{body['project']}/{body['name']}"
        with self.world.transaction():
            for kind in (DATABASES, USERS):
                for name, _ in list(self.world.items(kind, f"{key}/")):
                    self.world.delete(kind, name)
            self.world.delete(INSTANCES, key)
            iam.delete_policies(self.world, f"projects/{body['project']}/instances/{body['name']}")

    def add_database(self, project: str, instance: str, given: sa.Database) -> None:
        """Notes a database that was made."""
        database = sa.Database(
            kind="sql#database",
            charset="UTF8",
            collation="en_US.UTF8",
            etag=pages.etag().strip('"'),
            name=given.name,
            instance=instance,
            project=project,
            self_link=f"{BASE}/{project}/instances/{instance}/databases/{given.name}",
        )
        self.world.put(DATABASES, f"{project}/{instance}/{given.name}", messages.dump(database))

    def add_user(self, project: str, instance: str, given: sa.User) -> None:
        """Notes a user that was made, without the password."""
        user = sa.User(messages.to_pb(given))
        user.kind, user.etag = "sql#user", pages.etag().strip('"')
        user.instance, user.project, user.password = instance, project, ""
        self.world.put(USERS, user_key(project, instance, user), messages.dump(user))

    def _resume(self, body: Document) -> None:
        if body["state"] == "PENDING_DELETE":
            self.forget(body)
            return
        state = body["state"]
        if body["settings"]["activationPolicy"] != "NEVER":
            try:
                self.run(body)
                state = "RUNNABLE"
            except PostgresError:
                traceback.print_exc()
                state = "FAILED"
        if state == "RUNNABLE" and body["state"] == "PENDING_CREATE":
            self.add_user(body["project"], body["name"], sa.User(name="postgres"))
            self.add_database(body["project"], body["name"], sa.Database(name="postgres"))
        self.world.put(INSTANCES, f"{body['project']}/{body['name']}", {**body, "state": state})


def flags(body: Document) -> dict[str, str]:
    """The database flags of an instance."""
    return {
        one["name"]: str(one.get("value", ""))
        for one in body.get("settings", {}).get("databaseFlags", ())
    }


def user_key(project: str, instance: str, user: sa.User) -> str:
    """Users are known by name and host."""
    return f"{project}/{instance}/{user.name}@{user.host}"


# Operations.


def start(  # noqa: PLR0913, PLR0917
    world: World,
    caller: Caller,
    kind: str,
    project: str,
    instance: str,
    work: Callable[[], None],
    undo: Callable[[], None] | None = None,
) -> sa.Operation:
    """Carries something out in the background; `undo` follows what fails. Returns the operation."""
    with world.transaction():
        require_idle(world, project, instance)
        made = _operation(world, caller, kind, project, instance)
        made.status = _STATUS(_STATUS.PENDING)
        _put(world, made)
    running = sa.Operation(messages.to_pb(made))
    effects = faults_effects.current()
    effects.begun.append(made.name)

    due = world.clock.time() + effects.seconds

    def run() -> None:
        running.status = _STATUS(_STATUS.RUNNING)
        running.start_time = world.now()
        _put(world, running)
        failure = ""
        try:
            effects.before_work(world, due)
            if world.closing.is_set():
                return
            work()
        except Exception as error:
            if world.closing.is_set():
                return
            failure = str(error)
            if not isinstance(error, PostgresError | GoogleError):
                traceback.print_exc()
            if undo:
                undo()
        if not world.closing.is_set():
            _end(world, running, failure)

    world.clock.begin_work(run, made.name)
    return made


def perform(  # noqa: PLR0913, PLR0917
    world: World,
    caller: Caller,
    kind: str,
    project: str,
    instance: str,
    work: Callable[[], None],
) -> sa.Operation:
    """Does what takes no time and returns its operation, which is done; under way, when it is to
    take time or to fail. What `work` raises is the call's."""
    if faults_effects.current().concern_operation:
        return start(world, caller, kind, project, instance, work)
    work()
    return finished(world, caller, kind, project, instance)


def finished(world: World, caller: Caller, kind: str, project: str, instance: str) -> sa.Operation:
    """The operation of what has been done already."""
    made = _operation(world, caller, kind, project, instance)
    made.start_time = made.insert_time
    return _end(world, made, "")


def require_idle(world: World, project: str, instance: str) -> None:
    """Raises 409 while another operation changes the instance."""
    if any(one.status != _STATUS.DONE for one in operations(world, project, instance)):
        raise GoogleError(
            409,
            "ABORTED",
            "Operation failed because another operation was already in progress. Try your request "
            "after the current operation is complete.",
            "operationInProgress",
        )


def operation(world: World, project: str, name: str) -> sa.Operation:
    """One operation, or 404."""
    body = world.get(OPERATIONS, f"{project}/{name}")
    if body is None:
        message = "The Cloud SQL instance operation does not exist."
        raise GoogleError(404, "NOT_FOUND", message, "operationDoesNotExist")
    return messages.from_json(sa.Operation, body)


def operations(world: World, project: str, instance: str = "") -> list[sa.Operation]:
    """A project's operations, or an instance's."""
    bodies = world.list(OPERATIONS, f"{project}/")
    found = [body for body in bodies if instance in ("", body["targetId"])]
    return [messages.from_json(sa.Operation, body) for body in found]


def interrupt(world: World) -> None:
    """Ends what a former emulator left running."""
    for body in world.list(OPERATIONS):
        one = messages.from_json(sa.Operation, body)
        if one.status != _STATUS.DONE:
            _end(world, one, "The emulator was stopped while this operation was running.")


def _operation(
    world: World, caller: Caller, kind: str, project: str, instance: str
) -> sa.Operation:
    name = str(uuid.uuid4())
    return sa.Operation(
        kind="sql#operation",
        name=name,
        operation_type=_TYPE(_TYPE.__members__[kind]),
        insert_time=world.now(),
        user=caller.email,
        target_id=instance,
        target_project=project,
        target_link=f"{BASE}/{project}/instances/{instance}",
        self_link=f"{BASE}/{project}/operations/{name}",
    )


def _end(world: World, one: sa.Operation, failure: str) -> sa.Operation:
    one.status = _STATUS(_STATUS.DONE)
    one.end_time = world.now()
    if failure:
        problem = sa.OperationError(
            kind="sql#operationError", code="INTERNAL_ERROR", message=failure
        )
        one.error = sa.OperationErrors(kind="sql#operationErrors", errors=[problem])
    _put(world, one)
    return one


def _put(world: World, one: sa.Operation) -> None:
    world.put(OPERATIONS, f"{one.target_project}/{one.name}", messages.dump(one))
