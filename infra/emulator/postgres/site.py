"""Where a server lives and what its caller asked for; `launch` and `begin` act on it."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from infra.emulator.postgres import cluster, folders
from infra.emulator.postgres.account import Account, account_for
from infra.emulator.postgres.binaries import Binaries, environment
from infra.emulator.postgres.errors import StartError
from infra.emulator.postgres.guard import Charge
from infra.emulator.postgres.psql import Login

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Wish:
    """What the caller asked for."""

    port: int | None
    user: str
    password: str = field(repr=False)
    socket_directory: Path | None
    durable: bool
    settings: Mapping[str, str]

    def login(self, port: int) -> Login:
        """How to get in once the port is known."""
        return Login(HOST, port, self.user, self.password)


@dataclass(frozen=True)
class Site:
    """The caller's folder, where its data really is, and who runs which PostgreSQL on it."""

    folder: Path
    place: Path
    account: Account
    binaries: Binaries

    @property
    def data(self) -> Path:
        """The data folder, which is not below `folder` when root's is closed to the account."""
        return self.place / "data"

    @property
    def log(self) -> Path:
        """Where initdb and the server write, and a watchdog that fails."""
        return self.folder / "postgres.log"

    def charge(self) -> Charge:
        """What a watchdog needs to know of it."""
        return Charge(
            data=str(self.data),
            pg_ctl=str(self.binaries.program("pg_ctl")),
            log=str(self.log),
            environment=environment(),
            user=self.account.uid,
            group=self.account.gid,
        )

    def renew_log(self) -> None:
        """Begins an empty log that only we can read, never one that was put there for us."""
        self.log.unlink(missing_ok=True)
        os.close(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    def log_since(self, position: int) -> str:
        """What was written after a position."""
        with self.log.open("rb") as log:
            log.seek(position)
            return log.read().decode("utf-8", "replace").strip()


@dataclass(frozen=True)
class Running:
    """A server that answers; closing `undo` ends whatever was begun for it."""

    site: Site
    login: Login
    socket_directory: Path | None
    undo: ExitStack


def temporary_site() -> Site:
    """A new folder that is meant to be thrown away."""
    account = account_for(None)
    binaries = cluster.choose_binaries(None, account)
    folder = folders.temporary(account)
    return Site(folder, folder, account, binaries)


def lasting_site(folder: Path) -> Site:
    """What is, or will be, in the caller's folder."""
    account = account_for(folder / "data")
    made = cluster.is_whole(folder / "data")
    data = folders.place_for(folder, account, made=made) / "data"
    if made and account.uid and data.stat().st_uid != account.uid:
        raise StartError(
            f"{data} belongs to root, and PostgreSQL refuses to run as root: "
            "give it to an ordinary user, or delete it to begin with an empty database"
        )
    return Site(folder, data.parent, account, cluster.choose_binaries(data, account))
