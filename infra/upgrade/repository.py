"""The repository that a service lies in, be it a part of it: what has to be so before an upgrade.

Only reads; what writes into it is in branch.py and finish.py.
"""

from dataclasses import dataclass
from pathlib import Path

from infra.project import ProjectError
from infra.upgrade.git import Git, check_version

UNDER_WAY = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "BISECT_LOG": "bisect",
}
SHOWN = 10
LOCK = "uv.lock"


@dataclass(frozen=True)
class Repository:
    """A service's folder in its repository."""

    folder: Path
    top: Path
    prefix: str
    """The folder's path from the top: empty, or ending with a slash."""

    @classmethod
    def find(cls, folder: Path) -> "Repository":
        """The repository that has the service. Raises ProjectError."""
        check_version()
        git = Git(folder)
        top = git.ask("rev-parse", "--show-toplevel")
        if not top or not git.ask("ls-files", "--", "pyproject.toml"):
            raise ProjectError(
                f"{folder} is in no git repository, which an upgrade needs to merge: run "
                "git init -b main, git add --all and git commit first"
            )
        if git.commit("HEAD") is None:
            raise ProjectError(f"{top} has no commit yet: run git commit first")
        return cls(folder, Path(top), git.ask("rev-parse", "--show-prefix") or "")

    @property
    def git(self) -> Git:
        """Git in the service's folder."""
        return Git(self.folder)

    @property
    def whole(self) -> Git:
        """Git at the top."""
        return Git(self.top)

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return self.git.text("rev-parse", "HEAD")

    @property
    def branch(self) -> str | None:
        """The branch that is checked out; None when it is a commit alone."""
        return self.git.ask("symbolic-ref", "--quiet", "--short", "HEAD")

    def path(self, name: str) -> Path:
        """Where git keeps a file of this working tree."""
        return self.folder / self.git.text("rev-parse", "--git-path", name)

    def dirty(self, locked_anew: bool) -> list[str]:
        """What differs from the commit: anything that git follows, and what is new in the
        service's folder; but not uv.lock where uv writes it anew by itself."""
        status = ("status", "--porcelain=v1", "-z", "--no-renames")
        found = self.whole.items(*status, "--untracked-files=no")
        found += self.git.items(*status, "--untracked-files=all", "--", ".")
        found = list(dict.fromkeys(found))
        lock = f"{self.prefix}{LOCK}"
        return [item[3:] for item in found if not (locked_anew and item[3:] == lock)]

    def check_clean(self, *, locked_anew: bool) -> None:
        """Raises ProjectError when something would be mixed with an upgrade. `locked_anew`: whether
        uv changes uv.lock as it starts us, for the engine is a folder whose version may differ.
        """
        for name, what in UNDER_WAY.items():
            if self.path(name).exists():
                raise ProjectError(f"a {what} is under way in {self.top}: finish it first")
        if dirty := self.dirty(locked_anew):
            shown = ", ".join(dirty[:SHOWN])
            more = f" and {len(dirty) - SHOWN} more" if len(dirty) > SHOWN else ""
            raise ProjectError(
                f"these differ from the last commit: {shown}{more}. Commit or stash them first: "
                "an upgrade leaves nothing of yours to tell from its own"
            )
