"""A PostgreSQL server as an object: start it, make databases in it, ask it, stop it.

How it is started and stopped, and by whom it is watched meanwhile, is elsewhere.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from infra.emulator.postgres import psql, sockets
from infra.emulator.postgres.binaries import Binaries
from infra.emulator.postgres.errors import PostgresError, QueryError
from infra.emulator.postgres.launch import launch
from infra.emulator.postgres.site import HOST, Running, Wish

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class Server:
    """A PostgreSQL on 127.0.0.1 and a Unix socket, that never outlives the process that started it.

    With a folder its data stay there from one start to the next; with `folder` None they go at
    `stop`. A server that is found running from the folder is used as it is, with its port: one that
    was left behind is stopped by `stop`, one that a living process started is left to that.
    `durable=False` trades safety after a crash for speed. `settings` are PostgreSQL's parameters.
    The user is a superuser. Raises ValueError for what can never work.
    """

    host = HOST

    def __init__(  # noqa: PLR0913
        self,
        folder: Path | None = None,
        *,
        port: int | None = None,
        user: str = "postgres",
        password: str,
        socket_directory: Path | None = None,
        durable: bool = True,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> None:
        psql.identifier(user)
        if set(user) & set("\"$'\\"):
            raise ValueError(
                f"PostgreSQL's first user cannot have quotes, $ or \\ in its name: {user}"
            )
        if not password or any(character in password for character in "\0\r\n"):
            raise ValueError("the password must not be empty or have a line break in it")
        if socket_directory is not None:
            socket_directory = socket_directory.absolute()
            sockets.check_length(socket_directory)
        self.folder = None if folder is None else folder.absolute()
        self.user = user
        self.password = password
        self._wish = Wish(port, user, password, socket_directory, durable, settings)
        self._running: Running | None = None

    def start(self) -> None:
        """Returns when the server answers.

        Raises BinariesNotFoundError, or StartError: PortInUseError, WrongPasswordError,
        UnsafeFolderError, or with the end of the server's log. Nothing is left running then.
        """
        if self._running is not None:
            raise PostgresError("the server is started already")
        self._running = launch(self.folder, self._wish)

    def stop(self) -> None:
        """Stops the server, within 27 s, and removes what was temporary; may be called twice."""
        running, self._running = self._running, None
        if running is not None:
            running.undo.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The TCP port the server listens on."""
        return self._now.login.port

    @property
    def socket_directory(self) -> Path | None:
        """The folder to give a client instead of a host, with no port; None on Windows."""
        return self._now.socket_directory

    @property
    def data(self) -> Path:
        """Where the data really are: for root this can be outside of the folder asked for."""
        return self._now.site.data

    @property
    def log(self) -> Path:
        """The server's log."""
        return self._now.site.log

    @property
    def binaries(self) -> Binaries:
        """The PostgreSQL that runs."""
        return self._now.site.binaries

    @property
    def version(self) -> tuple[int, int]:
        """Its version, as (major, minor)."""
        return self.binaries.version

    def psql(self, sql: str, database: str = "postgres") -> str:
        """Runs statements as the user and returns their rows, one a line, columns parted by `|`.

        Raises QueryError with PostgreSQL's message at the first that fails.
        """
        return psql.ask(self.binaries, self._now.login, sql, database)

    def create_role(self, name: str, password: str) -> None:
        """Makes a role that may log in and make databases, or gives the one there is the password.

        Raises ValueError for a name PostgreSQL can't have, and QueryError when it refuses.
        """
        role = psql.identifier(name)
        exists = f"SELECT 1 FROM pg_roles WHERE rolname = {psql.literal(name)}"  # noqa: S608
        verb = "ALTER" if self.psql(exists) else "CREATE"
        self.psql(f"{verb} ROLE {role} LOGIN CREATEDB PASSWORD {psql.literal(password)}")

    def create_database(self, name: str, owner: str | None = None) -> None:
        """Makes a database unless it exists; any name PostgreSQL allows, taken literally.

        It is the owner's, or the user's when that is None.

        Raises ValueError for a name of more than 63 bytes, and QueryError when PostgreSQL refuses.
        """
        exists = f"SELECT 1 FROM pg_database WHERE datname = {psql.literal(name)}"  # noqa: S608
        create = (
            f"CREATE DATABASE {psql.identifier(name)} OWNER {psql.identifier(owner or self.user)}"
        )
        if self.psql(exists):
            return
        try:
            self.psql(create)
        except QueryError:
            # Somebody else may have been quicker.
            if not self.psql(exists):
                raise

    def drop_database(self, name: str) -> None:
        """Drops a database and whoever is connected to it; does nothing when there is none."""
        self.psql(f"DROP DATABASE IF EXISTS {psql.identifier(name)} WITH (FORCE)")

    @property
    def _now(self) -> Running:
        if self._running is None:
            raise PostgresError("the server is not started")
        return self._running
