"""What the template changed, merged three ways with what the team changed: git does it, on trees.

It is computed in a scratch repository which reads the service's objects; nothing is touched.
"""

from dataclasses import dataclass
from pathlib import Path

from infra.upgrade import three_way
from infra.upgrade.git import Git
from infra.upgrade.origin import FILE
from infra.upgrade.repository import Repository
from infra.upgrade.three_way import Unmerged

AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {"NAME": "template", "EMAIL": "template@localhost"}.items()
}


@dataclass(frozen=True)
class Change:
    """What an upgrade does to a file: A adds it, D deletes it, M or T changes it."""

    kind: str
    path: str


@dataclass(frozen=True)
class Merged:
    """The service as it will be; paths are from its folder."""

    tree: str
    changes: tuple[Change, ...]
    unmerged: tuple[Unmerged, ...]
    stay_deleted: tuple[str, ...]
    """What the template changed and the team has deleted."""
    template: tuple[Change, ...]
    """What the template changed, whatever the team did."""

    @property
    def conflicts(self) -> tuple[str, ...]:
        """The files that a person has to look at."""
        return tuple(sorted({each.path for each in self.unmerged}))


@dataclass(frozen=True)
class Scratch:
    """A repository of no files, for trees and merges."""

    git: Git
    index: Path
    service: Repository

    @classmethod
    def make(cls, folder: Path, service: Repository, *, keep: bool) -> "Scratch":
        """A new one; with `keep`, what it makes is written among the service's objects."""
        form = service.git.ask("rev-parse", "--show-object-format") or "sha1"
        Git(folder.parent).text("init", "--quiet", "--bare", f"--object-format={form}", str(folder))
        objects = str(service.path("objects").resolve())
        (folder / "objects/info").mkdir(exist_ok=True)
        (folder / "objects/info/alternates").write_text(f"{objects}\n", "utf-8", newline="\n")
        index = folder / "scratch-index"
        variables = {**AUTHOR, "GIT_DIR": str(folder), "GIT_INDEX_FILE": str(index)}
        # The attributes that count are those of the service.
        variables |= {"GIT_WORK_TREE": str(service.folder), "GIT_LITERAL_PATHSPECS": "1"}
        if keep:
            variables["GIT_OBJECT_DIRECTORY"] = objects
        return cls(Git(service.folder, (), variables), index, service)

    def tree_of(self, folder: Path) -> str:
        """All files of a folder as a tree, by the attributes that are in it."""
        self.index.unlink(missing_ok=True)
        git = Git(folder, (), {**self.git.variables, "GIT_WORK_TREE": str(folder)})
        git.text("add", "--all", "--force", "--", ".")
        return git.text("write-tree")

    def merge(self, old: str, new: str, label: str) -> Merged:
        """The service's last commit with what lies between two trees; `label` is how markers call
        the template's side. What the team has deleted stays so."""
        prefix = self.service.prefix.rstrip("/")
        ours = self.service.whole.text("rev-parse", f"HEAD:{prefix}")
        self.index.unlink(missing_ok=True)
        folder = self.index.parent
        tree, unmerged, deleted = three_way.merge(self.git, folder, (old, ours, new), label)
        return Merged(
            tree,
            self.changes(ours, tree),
            tuple(unmerged),
            tuple(deleted),
            self.changes(old, new),
        )

    def changes(self, old: str, new: str) -> tuple[Change, ...]:
        """What differs from one tree to another."""
        diff = ("diff-tree", "-r", "-z", "--no-renames", "--name-status")
        found = iter(self.git.items(*diff, old, new))
        return tuple(Change(kind, path) for kind, path in zip(found, found, strict=True))

    def whole(self, tree: str, origin: str) -> str:
        """The tree of the whole repository, with that one as the service, and in it what the
        service remembers from now on."""
        object = self.git.text("hash-object", "-w", "--stdin", given=origin)
        self.index.unlink(missing_ok=True)
        self.git.text("read-tree", tree)
        self.git.text("update-index", "--add", "--cacheinfo", f"100644,{object},{FILE}")
        tree = self.git.text("write-tree")
        prefix = self.service.prefix
        if not prefix:
            return tree
        variables = {**self.git.variables, "GIT_WORK_TREE": str(self.service.top)}
        top = Git(self.service.top, (), variables)
        top.text("read-tree", self.service.head)
        top.text("rm", "-r", "--cached", "--force", "--quiet", "--", prefix)
        top.text("read-tree", f"--prefix={prefix}", tree)
        return top.text("write-tree")

    def diff(self, tree: str) -> str:
        """What an upgrade would change, as a diff of the service."""
        prefix = self.service.prefix.rstrip("/")
        ours = self.service.whole.text("rev-parse", f"HEAD:{prefix}")
        return self.git.text("diff-tree", "-p", "-r", "--no-renames", ours, tree)
