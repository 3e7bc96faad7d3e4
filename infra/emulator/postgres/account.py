"""Whom PostgreSQL runs as. It refuses root, so for root that is an account the machine already has.

Never creates an account or changes a folder: what an account may do is found by letting it try.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.emulator.postgres.errors import StartError

# initdb wants an account that is listed, so a number of our own would not do.
UNPRIVILEGED = ("nobody", "postgres", "daemon")


@dataclass(frozen=True)
class Account:
    """An account of this machine; `uid` None is the caller's own, which needs no switching."""

    name: str
    uid: int | None = None
    gid: int | None = None

    def own(self, path: Path) -> None:
        """Gives a file or folder that is ours to the account."""
        if sys.platform != "win32" and self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def may_enter(self, folder: Path) -> bool:
        """Whether the account can go through every folder down to this one."""
        return self._succeeds("/bin/sh", "-c", 'test -x "$1/."', "sh", str(folder))

    def may_write(self, folder: Path) -> bool:
        """Whether the account can make files in the folder."""
        if self.uid is None:
            return os.access(folder, os.W_OK | os.X_OK)
        return self._succeeds("/bin/sh", "-c", 'test -w "$1" && test -x "$1/."', "sh", str(folder))

    def may_run(self, program: Path) -> bool:
        """Whether the account can start a program of PostgreSQL, its libraries included."""
        return self.uid is None or self._succeeds(str(program), "--version")

    def exists(self) -> bool:
        """Whether this process may switch to the account, which a container can forbid."""
        return self._succeeds("/bin/sh", "-c", ":")

    def _succeeds(self, *command: str) -> bool:
        try:
            done = subprocess.run(
                command,
                check=False,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=20,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0


def account_for(data: Path | None) -> Account:
    """Who runs PostgreSQL on a data folder: its owner, or whoever may own one yet to be made.

    Raises StartError when the folder is somebody else's, or when root has no account to switch to.
    """
    if sys.platform == "win32":
        return Account("the current user")
    owner = data.stat().st_uid if data and data.is_dir() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise StartError(
                f"{data} belongs to {_name(owner)}, and PostgreSQL would run as "
                f"{_name(os.geteuid())}: start it as its owner, "
                "or delete that folder to begin with an empty database"
            )
        return Account(_name(os.geteuid()))
    if data is None or not owner:
        return _unprivileged()
    return Account(_name(owner), owner, data.stat().st_gid)


def _unprivileged() -> Account:
    if sys.platform == "win32":
        raise NotImplementedError
    import pwd  # noqa: PLC0415  (not on Windows)

    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        account = Account(name, entry.pw_uid, entry.pw_gid)
        if entry.pw_uid != 0 and account.exists():
            return account
    raise StartError(
        "PostgreSQL refuses to run as root, and this process cannot switch to any of "
        f"{', '.join(UNPRIVILEGED)}: run as an ordinary user, or allow setuid and setgid"
    )


def _name(uid: int | None) -> str:
    if sys.platform == "win32" or uid is None:
        return "another user"
    import pwd  # noqa: PLC0415  (not on Windows)

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
