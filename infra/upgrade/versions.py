"""The releases of a template: each version as a commit, and what CHANGELOG.md says of it."""

import re
import tomllib
from dataclasses import dataclass
from typing import NamedTuple

from infra.upgrade.git import Git

SECTION = re.compile(r"^## +(.+?) *$", re.MULTILINE)
UNRELEASED = "Unreleased"
PYPROJECT = "pyproject.toml"


class Version(NamedTuple):
    """A version, as three numbers."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> "Version | None":
        """`1.2.3` or `v1.2.3`; None for anything else."""
        found = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", text)
        return cls(*map(int, found.groups())) if found else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class Release:
    """A version and its commit."""

    version: Version
    commit: str


def version_at(git: Git, commit: str, prefix: str = "") -> Version | None:
    """The version that pyproject.toml says in a commit; None when it says none."""
    text = git.file(commit, f"{prefix}{PYPROJECT}")
    try:
        found = tomllib.loads(text or "").get("project", {}).get("version")
    except tomllib.TOMLDecodeError:
        return None
    return Version.parse(found) if isinstance(found, str) else None


def releases(git: Git, prefix: str = "") -> list[Release]:
    """The releases that are in a repository, the newest first: by the tag `vX.Y.Z` or, for it may
    have come without its tags, as the commit that raised the version in pyproject.toml.

    The commit that brings pyproject.toml is no release. `prefix` is the path of the template's
    folder, empty or ending with a slash.
    """
    found: dict[Version, str] = {}
    log = ("log", "--format=%H", "-G^version *=", "HEAD", "--", f"{prefix}{PYPROJECT}")
    for commit in git.text(*log).split():
        version = version_at(git, commit, prefix)
        before = version_at(git, f"{commit}^", prefix)
        if version and before and version > before:
            found.setdefault(version, commit)
    for tag in git.text("tag", "--list", "v*").split():
        version, tagged = Version.parse(tag), git.commit(f"refs/tags/{tag}")
        if version and tagged:
            found[version] = tagged
    return [Release(version, found[version]) for version in sorted(found, reverse=True)]


def sections(changelog: str) -> dict[str, str]:
    """The notes of a change log by version, which may be followed by a date."""
    parts = SECTION.split(changelog)
    return {
        (heading.split() or [""])[0]: f"## {heading}\n\n{notes.strip()}"
        for heading, notes in zip(parts[1::2], parts[2::2], strict=True)
    }


def news(old: str, new: str, since: Version | None) -> list[str]:
    """What a new change log says that is later than a version: its sections, and of what is not
    released yet the lines that the old one had not."""
    result = []
    for heading, text in sections(new).items():
        version = Version.parse(heading)
        if version and (since is None or version > since):
            result.append(text)
        elif heading == UNRELEASED:
            title, *lines = text.splitlines()
            known = set(old.splitlines())
            more = "\n".join(line for line in lines if line not in known).strip()
            result += [f"{title}\n\n{more}"] if more else []
    return result
