"""Instances, databases and users, through Cloud SQL's own client, in a real PostgreSQL."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import sqladmin_v1beta4 as sa

from infra.emulator.postgres import find_binaries
from infra.emulator.runtime.scram import verifier
from tests.emulator.emulators import Emulator
from tests.emulator.services import eventually

DONE = sa.Operation.SqlOperationStatus.DONE
PASSWORD = "pass' \\ wörd"
SETTINGS = {"tier": "db-g1-small", "edition": "ENTERPRISE"}


class Sql:
    """The clients of a project."""

    def __init__(self, emulator: Emulator, project: str, account: str = "") -> None:
        arguments = emulator.arguments("sqladmin", account)
        self.project = project
        self.instances = sa.SqlInstancesServiceClient(**arguments)
        self.databases = sa.SqlDatabasesServiceClient(**arguments)
        self.users = sa.SqlUsersServiceClient(**arguments)
        self.operations = sa.SqlOperationsServiceClient(**arguments)

    def done(self, operation: sa.Operation) -> sa.Operation:
        """The operation when it is done."""

        def get() -> sa.Operation | None:
            asked = {"project": self.project, "operation": operation.name}
            now = self.operations.get(request=asked)
            return now if now.status == DONE else None

        found = eventually(get)
        assert found is not None
        return found

    def insert(self, name: str = "db", **settings: Any) -> sa.Operation:
        """Begins a new instance."""
        body = {
            "name": name,
            "region": "europe-west1",
            "database_version": "POSTGRES_17",
            "settings": {**SETTINGS, **settings},
        }
        return self.instances.insert(request={"project": self.project, "body": body})

    def get(self, name: str = "db") -> sa.DatabaseInstance:
        """An instance."""
        return self.instances.get(request={"project": self.project, "instance": name})

    def patch(self, name: str = "db", **settings: Any) -> sa.Operation:
        """Changes settings of an instance."""
        body = {"settings": settings}
        asked = {"project": self.project, "instance": name, "body": body}
        return self.done(self.instances.patch(request=asked))

    def there(self, instance: str = "db", **more: Any) -> dict[str, Any]:
        """What requests about an instance carry."""
        return {"project": self.project, "instance": instance, **more}

    def create(self, name: str = "db") -> None:
        """An instance with a database and a user `orders`."""
        assert not self.done(self.insert(name)).error.errors
        self.databases.insert(request=self.there(name, body={"name": "orders"}))
        user = {"name": "orders", "password": PASSWORD}
        self.users.insert(request=self.there(name, body=user))


@pytest.fixture(scope="module")
def sql(emulator: Emulator) -> Sql:
    """A project with an instance, which tests leave as it was."""
    emulator.enable_all("sql-project")
    sql = Sql(emulator, "sql-project")
    sql.create()
    return sql


def folder(emulator: Emulator, sql: Sql, name: str = "db") -> Path:
    """Where an instance is kept."""
    return emulator.folder / "sql" / sql.project / name


def ask(emulator: Emulator, sql: Sql, statement: str, **login: str) -> str:
    """What a user of the instance is answered."""
    pid_file = (folder(emulator, sql) / "data" / "postmaster.pid").read_text().splitlines()
    login = {"user": "orders", "password": PASSWORD, "database": "orders", **login}
    done = subprocess.run(
        [str(find_binaries().program("psql")), "-Atqc", statement],
        env={
            "PGHOST": "127.0.0.1",
            "PGPORT": pid_file[3],
            "PGUSER": login["user"],
            "PGPASSWORD": login["password"],
            "PGDATABASE": login["database"],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr.strip()


def test_an_instance_has_what_google_fills_in(sql: Sql) -> None:
    instance = sql.get()
    assert instance.connection_name == "sql-project:europe-west1:db"
    assert instance.state == sa.DatabaseInstance.SqlInstanceState.RUNNABLE
    assert instance.database_installed_version.startswith("POSTGRES_")
    settings = instance.settings
    assert settings.settings_version == 1
    assert settings.storage_auto_resize is True
    assert settings.deletion_protection_enabled is False
    assert settings.backup_configuration.backup_retention_settings.retained_backups == 7
    listed = sql.instances.list(request={"project": sql.project}).items
    assert [one.name for one in listed] == ["db"]


def test_a_user_may_create_in_its_database(emulator: Emulator, sql: Sql) -> None:
    made = "CREATE TABLE t (n int); INSERT INTO t VALUES (1) RETURNING n"
    assert ask(emulator, sql, made) == "1"
    assert ask(emulator, sql, "DROP TABLE t") == ""
    assert ask(emulator, sql, "SHOW is_superuser") == "off"
    assert "authentication failed" in ask(emulator, sql, "SELECT 1", password="wrong")
    names = [one.name for one in sql.databases.list(request=sql.there()).items]
    assert names == ["orders", "postgres"]


def test_a_password_is_nowhere_to_be_read(emulator: Emulator, sql: Sql) -> None:
    user = sql.users.get(request=sql.there(name="orders"))
    assert user.password == ""
    assert PASSWORD not in (folder(emulator, sql) / "postgres.log").read_text()
    assert PASSWORD not in emulator.folder.with_suffix(".log").read_text()
    written = (emulator.folder / "world.sqlite").read_bytes()
    written += (emulator.folder / "world.sqlite-wal").read_bytes()
    assert PASSWORD.encode() not in written
    assert json.dumps(PASSWORD).encode() not in written


def test_a_user_gets_a_new_password_and_is_removed(emulator: Emulator, sql: Sql) -> None:
    body = {"name": "guest", "password": "old"}
    sql.users.insert(request=sql.there(body=body))
    with pytest.raises(exceptions.Conflict, match="already exists"):
        sql.users.insert(request=sql.there(body=body))
    login = {"user": "guest", "password": "new"}
    assert "failed" in ask(emulator, sql, "SELECT 1", **login)
    sql.users.update(request=sql.there(name="guest", body={"password": "new"}))
    assert ask(emulator, sql, "CREATE TABLE mine (); SELECT 1", **login) == "1"
    with pytest.raises(exceptions.BadRequest, match="cannot be dropped"):
        sql.users.delete(request=sql.there(name="guest"))
    ask(emulator, sql, "DROP TABLE mine", **login)
    sql.users.delete(request=sql.there(name="guest"))
    names = [one.name for one in sql.users.list(request=sql.there()).items]
    assert names == ["orders", "postgres"]
    with pytest.raises(exceptions.NotFound):
        sql.users.delete(request=sql.there(name="guest"))


def test_a_database_is_made_once_and_dropped(emulator: Emulator, sql: Sql) -> None:
    name = 'a "quoted" name'
    sql.databases.insert(request=sql.there(body={"name": name}))
    with pytest.raises(exceptions.BadRequest, match="already exists"):
        sql.databases.insert(request=sql.there(body={"name": name}))
    assert ask(emulator, sql, "SELECT current_database()", database=name) == name
    sql.databases.delete(request=sql.there(database=name))
    with pytest.raises(exceptions.NotFound):
        sql.databases.get(request=sql.there(database=name))


def test_settings_are_merged_and_counted(emulator: Emulator, sql: Sql) -> None:
    before = sql.get().settings.settings_version
    flags = [{"name": "work_mem", "value": "8192"}]
    sql.patch(database_flags=flags, user_labels={"a": "b"})
    settings = sql.get().settings
    assert settings.settings_version == before + 1
    assert settings.tier == "db-g1-small"
    assert dict(settings.user_labels) == {"a": "b"}
    assert ask(emulator, sql, "SHOW work_mem") == "8MB"
    failed = sql.patch(database_flags=[{"name": "no_such_flag", "value": "1"}])
    assert "no_such_flag" in failed.error.errors[0].message
    assert ask(emulator, sql, "SHOW work_mem") == "8MB"
    stale = {"settings": {**SETTINGS, "settings_version": before}}
    with pytest.raises(exceptions.PreconditionFailed):
        sql.instances.update(request=sql.there(body=stale))


def test_a_protected_instance_stays(sql: Sql) -> None:
    sql.patch(deletion_protection_enabled=True)
    with pytest.raises(exceptions.BadRequest, match="The instance is protected"):
        sql.instances.delete(request=sql.there())
    sql.patch(deletion_protection_enabled=False)


def test_one_operation_at_a_time(emulator: Emulator, project: str) -> None:
    sql = Sql(emulator, project)
    operation = sql.insert()
    assert operation.status != DONE
    with pytest.raises(exceptions.Conflict) as busy:
        sql.databases.insert(request=sql.there(body={"name": "orders"}))
    assert busy.value.errors[0]["reason"] == "operationInProgress"
    with pytest.raises(exceptions.Conflict) as taken:
        sql.insert()
    assert taken.value.errors[0]["reason"] == "instanceAlreadyExists"
    sql.done(operation)
    data = folder(emulator, sql) / "data"
    assert data.exists()
    sql.done(sql.instances.delete(request=sql.there()))
    assert not data.exists()
    with pytest.raises(exceptions.NotFound) as gone:
        sql.get()
    assert gone.value.errors[0]["reason"] == "instanceDoesNotExist"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "UPPER"}, "Invalid instance name"),
        ({"settings": {"tier": "db-huge", "edition": "ENTERPRISE"}}, "Invalid Tier"),
        ({"settings": {"tier": "db-g1-small"}}, "ENTERPRISE_PLUS"),
        ({"settings": {"edition": "ENTERPRISE"}}, "Tier is required"),
        *(
            (
                {"settings": {**SETTINGS, "database_flags": [{"name": name, "value": "x"}]}},
                "Invalid flag name",
            )
            for name in (
                "archive_command",
                "hba_file",
                "shared_preload_libraries",
                "data_directory",
                "unix_socket_permissions",
                "ssl",
                "log_directory",
                "work_mem=1 -c fsync",
            )
        ),
    ],
)
def test_a_wrong_instance_is_refused(
    emulator: Emulator, project: str, body: dict[str, Any], said: str
) -> None:
    whole = {"name": "db", "database_version": "POSTGRES_17", "settings": SETTINGS, **body}
    asked = {"project": project, "body": whole}
    with pytest.raises(exceptions.BadRequest, match=said):
        Sql(emulator, project).instances.insert(request=asked)


def test_mysql_is_not_pretended(emulator: Emulator, project: str) -> None:
    body = {"name": "db", "database_version": "MYSQL_8_0", "settings": SETTINGS}
    asked = {"project": project, "body": body}
    with pytest.raises(exceptions.MethodNotImplemented, match="MYSQL_8_0"):
        Sql(emulator, project).instances.insert(request=asked)


def test_data_and_server_survive_a_killed_emulator(
    own_emulator: Emulator, bare_project: str
) -> None:
    own_emulator.start().enable_all(bare_project)
    sql = Sql(own_emulator, bare_project)
    sql.create()
    ask(own_emulator, sql, "CREATE TABLE t AS SELECT 42 AS n")
    own_emulator.kill()
    own_emulator.start()
    sql = Sql(own_emulator, bare_project)
    assert sql.get().state == sa.DatabaseInstance.SqlInstanceState.RUNNABLE
    assert ask(own_emulator, sql, "SELECT n FROM t") == "42"
    # An instance that is stopped stays so.
    sql.patch(activation_policy="NEVER")
    assert own_emulator.stop() == 0
    own_emulator.start()
    sql = Sql(own_emulator, bare_project)
    with pytest.raises(exceptions.BadRequest, match="not running"):
        sql.databases.insert(request=sql.there(body={"name": "more"}))
    sql.patch(activation_policy="ALWAYS")
    assert ask(own_emulator, sql, "SELECT n FROM t") == "42"
    own_emulator.stop()


def test_a_verifier_hides_its_password() -> None:
    first, second = verifier(PASSWORD), verifier(PASSWORD)
    assert first.startswith("SCRAM-SHA-256$4096:")
    assert first != second
