"""Three trees made one, file by file and by path: git's own merge, without looking for renames.

A product_model.py that a team made of item_model.py is a file of its own. `git merge-tree` follows
it as a renamed one, and before git 2.50 whatever `merge.renames` says.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.upgrade import UpgradeError
from infra.upgrade.git import Git, complaint

BASE, OURS, THEIRS = 1, 2, 3
YOURS = "yours"
FILES = {"100644", "100755"}
# More conflicts than an exit status can say; above it, git could not merge at all.
MOST_CONFLICTS = 127


@dataclass(frozen=True)
class Unmerged:
    """One side of a conflict, as git's index has it."""

    mode: str
    object: str
    stage: int
    path: str


@dataclass(frozen=True)
class Outcome:
    """A file as it will be, and whether a person has to look at it; no `side`: it is gone."""

    side: Unmerged | None
    is_clean: bool


def merge(
    git: Git, scratch: Path, trees: tuple[str, str, str], label: str
) -> tuple[str, list[Unmerged], list[str]]:
    """The tree of what lies between the first and the third, done to the second, with markers where
    both changed the same; the sides of each conflict; and the files that the second has deleted,
    which stay so. `git` has an index of its own. Raises UpgradeError."""
    git.text("read-tree", "-i", "-m", "--aggressive", *trees)
    unmerged = [entry(record) for record in git.items("ls-files", "--unmerged", "-z")]
    files = defaultdict[str, dict[int, Unmerged]](dict)
    for each in unmerged:
        files[each.path][each.stage] = each
    lines, conflicts, deleted = [], list[Unmerged](), list[str]()
    for path, sides in files.items():
        outcome = merged(git, scratch, sides, label)
        lines.append(f"0 {'0' * len(trees[0])}\t{path}\0")
        if outcome.side is not None:
            lines.append(f"{outcome.side.mode} {outcome.side.object} 0\t{path}\0")
        elif sides.keys() == {BASE, THEIRS}:
            deleted.append(path)
        if not outcome.is_clean:
            conflicts += sides.values()
    git.text("update-index", "-z", "--index-info", given="".join(lines))
    return git.text("write-tree"), conflicts, sorted(deleted)


def entry(record: str) -> Unmerged:
    """One side of a conflict, as git writes it: mode, object, stage, tab, path."""
    facts, path = record.split("\t", 1)
    mode, object, stage = facts.split()
    return Unmerged(mode, object, int(stage), path)


def merged(git: Git, scratch: Path, sides: Mapping[int, Unmerged], label: str) -> Outcome:
    """What becomes of a file that both sides changed."""
    ours, theirs = sides.get(OURS), sides.get(THEIRS)
    if ours is None:
        return Outcome(None, True)  # the team has deleted it
    if theirs is None or not {each.mode for each in sides.values()} <= FILES:
        return Outcome(ours, False)
    base = sides.get(BASE)
    content, is_clean = content_of(git, scratch, (base, ours, theirs), label)
    mode = theirs.mode if base and ours.mode == base.mode else ours.mode
    if content is None:
        return Outcome(ours, False)
    written = git.text("hash-object", "-w", "--stdin", given=content)
    return Outcome(Unmerged(mode, written, 0, ours.path), is_clean)


def content_of(
    git: Git, scratch: Path, sides: tuple[Unmerged | None, Unmerged, Unmerged], label: str
) -> tuple[str | None, bool]:
    """The text of both sides, by `git merge-file`, and whether they agree; None for what is no
    text."""
    names = []
    for name, side in zip(("base", YOURS, label), sides, strict=True):
        file = scratch / f"side-{name}"
        file.write_bytes(git.run("cat-file", "blob", side.object).stdout if side else b"")
        names.append(str(file))
    base, ours, theirs = names
    labels = ("-L", YOURS, "-L", "before", "-L", label)
    done = git.run("merge-file", "--stdout", *labels, ours, base, theirs)
    if done.returncode > MOST_CONFLICTS:
        if b"binary" in done.stderr:
            return None, False
        raise UpgradeError(f"git could not merge {sides[1].path}: {complaint(done)}")
    return done.stdout.decode("utf-8", "surrogateescape"), done.returncode == 0
