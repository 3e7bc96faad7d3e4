"""The template's repository, cloned into a scratch folder, and the commit in it to go to."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from infra.project import ProjectError
from infra.upgrade import UpgradeError
from infra.upgrade.git import Git, complaint
from infra.upgrade.origin import FILE, Origin
from infra.upgrade.versions import Release, Version, news, releases, version_at

SHORT = 7


@dataclass(frozen=True)
class Target:
    """A commit of the template, and what people call it."""

    commit: str
    version: Version | None
    is_release: bool

    @property
    def name(self) -> str:
        """Its version or, where it is not the release of one, that and the commit."""
        short = self.commit[:SHORT]
        if self.is_release or self.version is None:
            return str(self.version or short)
        return f"{self.version}-{short}"


@dataclass(frozen=True)
class Template:
    """A clone of the template's repository."""

    git: Git
    place: str
    prefix: str
    """The path of the template in it: empty, or ending with a slash."""

    @classmethod
    def clone(cls, origin: Origin, pinned: str | None, folder: Path) -> "Template":
        """Clones it into a new folder. Where a folder of another machine is remembered, the URL
        that the engine is pinned to is taken. Raises ProjectError."""
        place = origin.template
        if "://" not in place and not Path(place).is_dir():
            if pinned is None:
                raise ProjectError(
                    f"{FILE}: template: there is no folder {place} on this machine: write there "
                    "the folder or the URL that the template is at, commit, and run this again"
                )
            place = pinned
        done = Git(folder.parent).run("clone", "--quiet", "--no-checkout", "--", place, str(folder))
        if done.returncode:
            raise ProjectError(f"{FILE}: template: {place} can't be cloned: {complaint(done)}")
        prefix = origin.subdirectory.strip("/")
        return cls(Git(folder), place, f"{prefix}/" if prefix else "")

    @cached_property
    def releases(self) -> list[Release]:
        """Those that it has, the newest first."""
        return releases(self.git, self.prefix)

    def known(self, commit: str) -> str:
        """A remembered commit, whole. Raises ProjectError when the repository has it no more."""
        found = self.git.commit(commit)
        if found is None:
            # On no branch any more, perhaps.
            self.git.run("fetch", "--quiet", "origin", commit)
            found = self.git.commit(commit)
        if found is None:
            raise ProjectError(
                f"{FILE}: commit: {self.place} has no commit {commit}. If it is a shallow clone, "
                "run git fetch --unshallow in it; if its history was rewritten, write the nearest "
                "commit there"
            )
        return found

    def describe(self, commit: str) -> Target:
        """What a commit is called."""
        for each in self.releases:
            if each.commit == commit:
                return Target(commit, each.version, True)
        return Target(commit, version_at(self.git, commit, self.prefix), False)

    def target(self, ref: str | None) -> Target:
        """The commit of a version, a branch, a tag or a commit's beginning; without one, of the
        newest release, or what is checked out where there is no release. Raises ProjectError."""
        if ref is None:
            newest = self.releases[0].commit if self.releases else self.git.commit("HEAD")
            if newest is None:
                raise ProjectError(f"{self.place} has no commit to go to")
            return self.describe(newest)
        if version := Version.parse(ref):
            found = next((each.commit for each in self.releases if each.version == version), None)
        else:
            found = self.git.commit(f"refs/remotes/origin/{ref}") or self.git.commit(ref)
        if found is None:
            there = ", ".join(str(each.version) for each in self.releases) or "none yet"
            raise ProjectError(
                f"--to {ref}: {self.place} has no such version, branch, tag or commit. Its "
                f"versions: {there}"
            )
        return self.describe(found)

    def is_part_of(self, earlier: str, later: str) -> bool:
        """Whether a commit is another one, or in its history."""
        done = self.git.run("merge-base", "--is-ancestor", earlier, later)
        return done.returncode == 0

    def news(self, old: Target, new: Target) -> list[str]:
        """What the change log says of the way from one to the other."""
        file = f"{self.prefix}CHANGELOG.md"
        before, after = (self.git.file(each.commit, file) or "" for each in (old, new))
        return news(before, after, old.version)

    def checkout(self, commit: str, folder: Path) -> Path:
        """The template's files as they are in a commit, in a new folder. Raises UpgradeError."""
        add = ("worktree", "add", "--quiet", "--detach", str(folder), commit)
        Git(self.git.folder, ("-c", "core.autocrlf=false")).text(*add)
        template = folder / self.prefix
        if not (template / "cookiecutter.json").is_file():
            raise UpgradeError(f"{self.place} has no template at {commit}: no cookiecutter.json")
        return template
