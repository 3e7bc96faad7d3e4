"""Where the files go: the caller's folder, or one of ours when root's is closed to others.

Ours are checked for their owner. The mode of a folder we did not make is never changed.
"""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infra.emulator.postgres.account import Account
from infra.emulator.postgres.errors import StartError, UnsafeFolderError

PREFIX = "cloudrun-pg-"
# Root's files are entered by an account that must not list or change them.
ENTER_ONLY = 0o711
# Below it there is room for a socket: macOS allows 103 bytes for the whole path, and Linux 107.
LONGEST_BASE = 64


def temporary(account: Account, longest_base: int = 4096) -> Path:
    """A new throw-away folder which the account can enter.

    Raises StartError when the machine's folders for temporary files let the account into none.
    """
    for base in bases(lasting=False):
        if len(os.fsencode(base)) <= longest_base and _enterable(base, account):
            return _make(base, PREFIX, account)
    raise StartError(f"no folder for temporary files can be entered by {account.name}: set TMPDIR")


def place_for(folder: Path, account: Account, *, made: bool) -> Path:
    """The folder that holds `data` for the caller's folder, or will when it is `made`.

    It is the caller's folder itself, unless that is closed to the account PostgreSQL runs as. Then
    a place of ours is made and `folder/data` is a link to the data in it, so that deleting the
    caller's folder still begins anew.
    Raises UnsafeFolderError when a place of ours turns out to be somebody else's.
    """
    link = folder / "data"
    if link.is_symlink():
        return _linked_place(link)
    if account.uid is None or made or _usable(folder, account):
        return folder
    for base in bases(lasting=True):
        if _enterable(base, account):
            place = _make(home(base), "data-", account)
            shutil.rmtree(link, ignore_errors=True)
            link.symlink_to(place / "data")
            return place
    raise StartError(
        f"{folder} cannot be entered by {account.name}, whom PostgreSQL runs as for root, "
        "and neither can any folder for temporary files: set TMPDIR or choose another folder"
    )


def home(base: Path) -> Path:
    """Our own folder below a shared one, made on first use.

    Raises UnsafeFolderError when its name is taken by a link, or a folder others own or can change.
    """
    path = base / f"cookiecutter-cloudrun-{_uid()}"
    try:
        path.mkdir(ENTER_ONLY)
        path.chmod(ENTER_ONLY)
    except FileExistsError:
        pass
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != _uid() or found.st_mode & 0o022:
        raise UnsafeFolderError(
            f"{path} must be a folder only its owner, user {_uid()}, can change, and it is not: "
            "somebody else may have made it; look at it, then remove it or set TMPDIR"
        )
    return path


def bases(*, lasting: bool) -> Iterator[Path]:
    """The shared folders ours may be made in, best first: a `lasting` one survives a reboot."""
    temporary_files = Path(tempfile.gettempdir())
    if os.name == "nt":
        return iter([temporary_files])
    if lasting and "TMPDIR" not in os.environ:
        return iter([Path("/var/tmp"), temporary_files])  # noqa: S108
    return iter([temporary_files, Path("/var/tmp"), Path("/tmp")])  # noqa: S108


def _linked_place(link: Path) -> Path:
    place = Path(os.path.realpath(link)).parent
    if place.parent.name == f"cookiecutter-cloudrun-{_uid()}":
        # A cleaner of temporary files may have taken it all; the link still says where.
        home(place.parent.parent)
        place.mkdir(ENTER_ONLY, exist_ok=True)
        place.chmod(ENTER_ONLY)
    elif not place.is_dir():
        raise StartError(f"{link} is a link to {place}, which does not exist: remove the link")
    return place


def _usable(folder: Path, account: Account) -> bool:
    """Whether the account can work in a folder made inside; on some mounts only trying tells."""
    probe = _make(folder, "probe-", account)
    try:
        account.own(probe)
        return account.may_write(probe)
    except OSError:
        return False
    finally:
        probe.rmdir()


def _enterable(base: Path, account: Account) -> bool:
    """Whether the account gets in, and nobody could swap what we make there for theirs."""
    if account.uid is None:
        return base.is_dir()
    if not base.is_dir() or not account.may_enter(base):
        return False
    mode = base.stat().st_mode
    return bool(mode & stat.S_ISVTX) or not mode & 0o022


def _make(base: Path, prefix: str, account: Account) -> Path:
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    if account.uid is not None:
        path.chmod(ENTER_ONLY)
    return path


def _uid() -> int:
    if sys.platform == "win32":
        return 0
    return os.geteuid()
