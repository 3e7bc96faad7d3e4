"""The service's folder as an archive: what is to be built, and nothing of this machine.

The same tree gives the same bytes, so that its hash can name it. What stays here is what gcloud
would leave out (`.gcloudignore`, else `.gitignore`), and, whatever those files say, secrets.
"""

import gzip
import hashlib
import os
import re
import subprocess
import tarfile
from collections.abc import Buffer, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Self

from google.api_core.exceptions import PreconditionFailed
from pathspec import GitIgnoreSpec

from infra.project import ProjectError
from infra.release import ReleaseError
from infra.resources.base import Work

INCLUDE = "#!include:"
# What `gcloud topic gcloudignore` says stands for a missing .gcloudignore.
GCLOUD_DEFAULT = (".gcloudignore", ".git", ".gitignore", f"{INCLUDE}.gitignore")
NEVER = GitIgnoreSpec.from_lines(
    [
        ".git",
        ".env",
        ".env.*",
        "!.env.example",
        "/config.yaml",
        "/config.yml",
        "/config.json",
        "/config.toml",
        ".venv/",
        "/.local/",
    ]
)
LARGE = 50_000_000
TOO_LARGE = 500_000_000
"""Bytes of an archive that is worth a warning, and that is refused."""
LARGEST_SHOWN = 3
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
AUTHOR = "--format=%an <%ae>"


@dataclass(frozen=True)
class Entry:
    """A file or a symbolic link of the service, by its path from the service's folder."""

    path: str
    size: int
    executable: bool
    link: str | None = None


@dataclass(frozen=True)
class Source:
    """A packaged service; `archive` is a .tar.gz, open until the end of the block.

    `sha256` is that of the .tar: the same files have the same on every machine."""

    archive: IO[bytes]
    sha256: str
    size: int
    entries: tuple[Entry, ...]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.archive.close()

    @property
    def object_name(self) -> str:
        """Where it lies in the source bucket."""
        return f"source/{self.sha256}.tgz"

    @property
    def summary(self) -> str:
        """How many files and bytes, in words."""
        plural = "" if len(self.entries) == 1 else "s"
        return f"{len(self.entries)} file{plural}, {human_size(self.size)}"

    @property
    def advice(self) -> str | None:
        """A warning with the largest files, when the archive is so big that something must be
        wrong with what is left out."""
        if self.size <= LARGE:
            return None
        return f"the source is {human_size(self.size)}; {leave_out(self.entries)}"


def leave_out(entries: Iterable[Entry]) -> str:
    """That the largest files should not be packaged."""
    largest = sorted(entries, key=lambda entry: -entry.size)[:LARGEST_SHOWN]
    named = ", ".join(f"{entry.path} ({human_size(entry.size)})" for entry in largest)
    return f"leave out in .gcloudignore what no build needs: {named}"


def package(folder: Path, limit: int = TOO_LARGE) -> Source:
    """The folder's archive, of at most so many bytes. Raises ProjectError when it is larger, for a
    link that leads out of the folder, and for a file that can't be read or changes meanwhile."""
    entries = tuple(listing(folder))
    if not entries:
        raise ProjectError(f"{folder}: everything in it is left out by .gcloudignore")
    archive = TemporaryFile()  # noqa: SIM115
    try:
        with (
            Hashed(archive) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for entry in entries:
                add(tar, folder, entry)
                check_size(archive.tell(), limit, entries)
        size = archive.tell()
        check_size(size, limit, entries)
        archive.seek(0)
    except BaseException:
        archive.close()
        raise
    return Source(archive, packed.sha256.hexdigest(), size, entries)


class Hashed(gzip.GzipFile):
    """An archive that knows the hash of what was written to it, before it was packed: versions of
    zlib pack the same files into different bytes, and the hash is to name the files."""

    def __init__(self, archive: IO[bytes]) -> None:
        super().__init__("", "wb", compresslevel=6, fileobj=archive, mtime=0)
        self.sha256 = hashlib.sha256()

    def write(self, data: Buffer) -> int:
        """Packs a part."""
        self.sha256.update(data)
        return super().write(data)


def check_size(size: int, limit: int, entries: Iterable[Entry]) -> None:
    """Raises ProjectError when an archive is larger than that."""
    if size > limit:
        raise ProjectError(
            f"the source is larger than {human_size(limit)}, packed: {leave_out(entries)}"
        )


def add(tar: tarfile.TarFile, folder: Path, entry: Entry) -> None:
    """Writes an entry without what differs from one machine, or moment, to another."""
    member = tarfile.TarInfo(entry.path)
    member.mtime = 0
    member.mode = 0o755 if entry.executable else 0o644
    if entry.link is not None:
        member.type = tarfile.SYMTYPE
        member.linkname = entry.link
        member.mode = 0o777
        tar.addfile(member)
        return
    member.size = entry.size
    try:
        with (folder / entry.path).open("rb") as file:
            if os.fstat(file.fileno()).st_size != entry.size:
                raise ProjectError(f"{entry.path} changed while it was packaged: try again")
            tar.addfile(member, file)
    except OSError as error:
        raise ProjectError(f"{entry.path} can't be packaged: {error}") from error


def listing(folder: Path) -> Iterator[Entry]:
    """What is uploaded of the folder, in the order of the archive.

    As in git, empty folders are nothing, and nothing can be re-included below a folder that is
    left out.
    """
    rules, nested = read_rules(folder)
    yield from below(folder, "", lambda path: ignored(rules, path), nested)


def below(
    folder: Path, inside: str, left_out: Callable[[str], bool | None], nested: bool
) -> Iterator[Entry]:
    """The entries of the folder `inside`, a path that is empty or ends with a slash."""
    try:
        found = sorted(os.scandir(folder / inside), key=lambda item: item.name)
    except OSError as error:
        raise ProjectError(f"{inside or folder} can't be packaged: {error}") from error
    if nested and inside and any(item.name == ".gitignore" for item in found):
        left_out = also(left_out, inside, read_spec(folder / inside / ".gitignore"))
    for item in found:
        path = inside + item.name
        is_folder = item.is_dir(follow_symlinks=False)
        asked = f"{path}/" if is_folder else path
        if ignored(NEVER, asked) or left_out(asked):
            continue
        if is_folder:
            yield from below(folder, asked, left_out, nested)
        elif item.is_symlink():
            yield Entry(path, 0, False, link_target(folder, path))
        elif S_ISREG((stat := item.stat(follow_symlinks=False)).st_mode):
            yield Entry(path, stat.st_size, bool(stat.st_mode & 0o100))


def also(
    outer: Callable[[str], bool | None], inside: str, spec: GitIgnoreSpec
) -> Callable[[str], bool | None]:
    """The outer rules, and above them those of a `.gitignore` further down."""

    def both(path: str) -> bool | None:
        inner = ignored(spec, path.removeprefix(inside))
        return outer(path) if inner is None else inner

    return both


def ignored(spec: GitIgnoreSpec, path: str) -> bool | None:
    """Whether the last rule that speaks of the path leaves it out; None when none speaks."""
    return spec.check_file(path).include


def read_rules(folder: Path) -> tuple[GitIgnoreSpec, bool]:
    """The folder's rules, and whether the `.gitignore` files further down count too, which they
    do where the folder's own one does."""
    file = folder / ".gcloudignore"
    lines = read_lines(file) if file.is_file() else list(GCLOUD_DEFAULT)
    rules: list[str] = []
    nested = False
    for line in lines:
        if not line.startswith(INCLUDE):
            rules.append(line)
            continue
        name = line.removeprefix(INCLUDE).strip()
        included = folder / name
        if Path(name).name != name:
            raise ProjectError(f"{file}: {line}: only a file beside it can be included")
        if included.is_file():
            rules += read_lines(included)
        elif name != ".gitignore":
            raise ProjectError(f"{file}: {line}: there is no such file")
        nested = nested or name == ".gitignore"
    return GitIgnoreSpec.from_lines(rules), nested


def read_spec(file: Path) -> GitIgnoreSpec:
    """The rules of one file."""
    return GitIgnoreSpec.from_lines(read_lines(file))


def read_lines(file: Path) -> list[str]:
    """The lines of a text file. Raises ProjectError."""
    try:
        return file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"{file} can't be read: {error}") from error


def link_target(folder: Path, path: str) -> str:
    """Where a symbolic link leads, relative to itself. Raises ProjectError when that is out of
    the folder, where the build won't have it."""
    target = Path(os.readlink(folder / path))
    parent = (folder / path).parent
    whole = Path(os.path.normpath(parent / target))
    if not whole.is_relative_to(folder):
        raise ProjectError(
            f"{path} is a symbolic link to {target}, out of the service's folder, where no build "
            "can follow it: copy what it leads to, or leave it out in .gcloudignore"
        )
    relative = whole.relative_to(parent, walk_up=True) if target.is_absolute() else target
    return str(PurePosixPath(relative.as_posix()))


@dataclass(frozen=True)
class Commit:
    """The commit that is checked out; "" and False where there is no git, or no commit yet."""

    id: str = ""
    branch: str = ""
    """"" too when it is no branch that is checked out."""
    author: str = ""
    is_dirty: bool = False
    """Whether files of the service differ from it, or are not in it."""
    paths: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """The files of the service that are in it."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The commit of the service's folder."""
        id = git(folder, "rev-parse", "HEAD")
        if not id:
            return cls()
        return cls(
            id,
            git(folder, "branch", "--show-current") or "",
            git(folder, "log", "-1", AUTHOR) or "",
            git(folder, "status", "--porcelain", "--", ".") != "",
            frozenset((git(folder, "ls-files", "-z", "--", ".") or "").split("\0")),
        )

    @classmethod
    def find(cls, folder: Path, id: str) -> Self:
        """A commit by its whole id, in the history of the service's folder; an empty one when it is
        not known there."""
        known = COMMIT.fullmatch(id) and git(folder, "cat-file", "-t", id) == "commit"
        if not known:
            return cls()
        return cls(id, "", git(folder, "log", "-1", AUTHOR, id) or "")

    def version(self, source: Source) -> str:
        """What names the source in a registry, and nothing else: the commit when it is just that,
        else its hash. What git ignores may be packaged all the same."""
        is_all = all(entry.path in self.paths for entry in source.entries)
        return self.id if self.id and is_all and not self.is_dirty else source.sha256[:40]


def git(folder: Path, *arguments: str) -> str | None:
    """What a git command answers; None when it fails, or there is no git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def upload(work: Work, source: Source) -> bool:
    """Puts the archive into the source bucket, unless it is there. Returns whether it had to.

    Raises ReleaseError when there is no bucket, and CloudError.
    """
    names = work.cloud.names
    storage = work.cloud.storage
    bucket = work.read(f"bucket {names.bucket}", lambda: storage.get_bucket(names.bucket))
    if bucket is None:
        raise ReleaseError(
            f"there is no bucket {names.bucket} to upload the source to: run invoke provision "
            f"--env {names.environment.name} first"
        )
    blob = bucket.blob(source.object_name)

    def send() -> bool:
        source.archive.seek(0)
        try:
            blob.upload_from_file(
                source.archive,
                size=source.size,
                content_type="application/gzip",
                if_generation_match=0,
            )
        except PreconditionFailed:
            # Somebody else uploaded the same bytes just now.
            return False
        return True

    if work.read("the uploaded source", lambda: blob.exists() or None):
        return False
    return work.call(f"upload the source to {names.bucket}", send)


def human_size(size: int) -> str:
    """Bytes as a person says them."""
    if size < 1000:
        return f"{size} B"
    if size < 1_000_000:
        return f"{size / 1000:.0f} kB"
    return f"{size / 1_000_000:.1f} MB"
