"""The PostgreSQL server behind each Cloud SQL instance, its databases and its users.

Whichever PostgreSQL this machine has serves, whatever version the instance asked for. Accounts are
as in Cloud SQL: nobody is superuser, and members of cloudsqlsuperuser own the databases made by
the API, so that any of them may create in their public schema.
"""

import os
import secrets
import shutil
import threading
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.emulator.postgres import PostgresError, Server
from infra.emulator.postgres.psql import identifier, literal
from infra.emulator.runtime.scram import verifier

ADMIN = "cloudsqladmin"
GROUP = "cloudsqlsuperuser"
ACCOUNTS = f"""
CREATE ROLE {GROUP} NOLOGIN CREATEDB CREATEROLE;
CREATE ROLE postgres LOGIN CREATEDB CREATEROLE IN ROLE {GROUP};
ALTER DATABASE postgres OWNER TO {GROUP};
"""
# Flags of Cloud SQL itself, which PostgreSQL does not know.
CLOUDS = "cloudsql."


class Databases:
    """The servers, by connection name: `project:region:instance`."""

    def __init__(self, folder: Path, *, durable: bool = True):
        self._folder = folder
        self._durable = durable
        self._servers: dict[str, Server] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def start(self, connection: str, flags: Mapping[str, str]) -> None:
        """Starts an instance's server, on its data if it has any. Raises PostgresError."""
        with self._locks[connection]:
            if connection in self._servers:
                return
            place = self._place(connection)
            place.mkdir(parents=True, exist_ok=True)
            settings = {name: value for name, value in flags.items() if CLOUDS not in name}
            server = Server(
                place,
                user=ADMIN,
                password=_password(place / "admin"),
                durable=self._durable,
                settings=settings,
            )
            server.start()
            try:
                if not server.psql(f"SELECT 1 FROM pg_roles WHERE rolname = {literal(GROUP)}"):  # noqa: S608
                    server.psql(f"BEGIN; {ACCOUNTS} COMMIT;")
            except PostgresError:
                server.stop()
                raise
            self._servers[connection] = server

    def stop(self, connection: str) -> None:
        """Stops an instance's server; its data stay."""
        with self._locks[connection]:
            if server := self._servers.pop(connection, None):
                server.stop()

    def delete(self, connection: str) -> None:
        """Stops an instance's server and removes its data."""
        self.stop(connection)
        place = self._place(connection)
        # For root the data may be elsewhere, behind a link.
        if (place / "data").is_symlink():
            shutil.rmtree((place / "data").resolve().parent, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)

    def stop_all(self) -> None:
        """Stops every server, all at once."""
        if self._servers:
            with ThreadPoolExecutor(len(self._servers)) as pool:
                list(pool.map(self.stop, list(self._servers)))

    def socket(self, connection: str) -> Path | None:
        """The folder of the server's socket, short enough to open; None when it does not run."""
        server = self._servers.get(connection)
        return server.socket_directory if server else None

    def port(self, connection: str) -> int | None:
        """The port of the server on 127.0.0.1."""
        server = self._servers.get(connection)
        return server.port if server else None

    def version(self, connection: str) -> tuple[int, int]:
        """The version of the PostgreSQL that really runs."""
        return self._server(connection).version

    def create_database(self, connection: str, name: str) -> None:
        """Makes a database. Raises PostgresError."""
        self._server(connection).psql(f"CREATE DATABASE {identifier(name)} OWNER {GROUP}")

    def drop_database(self, connection: str, name: str) -> None:
        """Drops a database and whoever is connected to it."""
        self._server(connection).drop_database(name)

    def create_user(self, connection: str, name: str, password: str | None) -> None:
        """Makes a user, or gives one that exists a new password. Raises PostgresError."""
        role = identifier(name)
        exists = self._server(connection).psql(
            f"SELECT 1 FROM pg_roles WHERE rolname = {literal(name)}"  # noqa: S608
        )
        secret = f" PASSWORD {literal(verifier(password))}" if password else ""
        verb = "ALTER" if exists else "CREATE"
        self._server(connection).psql(
            f"BEGIN; {verb} ROLE {role} LOGIN CREATEDB CREATEROLE{secret}; "
            f"GRANT {GROUP} TO {role}; COMMIT;"
        )

    def drop_user(self, connection: str, name: str) -> None:
        """Removes a user. Raises PostgresError when it still owns something."""
        self._server(connection).psql(f"DROP ROLE IF EXISTS {identifier(name)}")

    def _server(self, connection: str) -> Server:
        try:
            return self._servers[connection]
        except KeyError:
            raise PostgresError(f"the instance {connection} does not run") from None

    def _place(self, connection: str) -> Path:
        project, _, instance = connection.split(":")[-3:]
        return self._folder / project / instance


def _password(file: Path) -> str:
    """The superuser's, made once and kept where only we can read it."""
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_urlsafe(24))
    return file.read_text()
