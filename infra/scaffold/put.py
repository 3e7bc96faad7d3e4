"""The texts of files → a service's folder, so that nothing half-made is left.

What is to be written is first kept whole in a journal beside the files. A command that was killed
is undone by the next one; one that failed or was interrupted is undone on the spot.
"""

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.project import ProjectError

JOURNAL = ".entity.json"


class Journal(BaseModel):
    """The texts of the files before and after, by their paths in the service."""

    model_config = ConfigDict(strict=True)

    before: dict[str, str | None]
    after: dict[str, str | None]


type Texts = Mapping[str, str | None]
"""The text of each file by its path in the service; None for one that goes."""


def put(folder: Path, texts: Texts) -> None:
    """Writes all of them, or none. Raises ProjectError for a disk that is full, or a folder that
    can't be written to."""
    before = {path: current(folder / path) for path in texts}
    journal = folder / JOURNAL
    try:
        write(journal, json.dumps({"before": before, "after": dict(texts)}))
        for path, text in texts.items():
            write(folder / path, text)
    except BaseException as error:
        undo(folder, before)
        if isinstance(error, OSError):
            where = error.filename or folder
            raise ProjectError(
                f"{where}: {error.strerror}; all files are as they were before"
            ) from None
        raise
    journal.unlink()


def recover(folder: Path) -> list[str]:
    """Undoes what a command that was killed had begun; the paths that are as they were again.

    A file that was changed since is left as it is. Raises ProjectError for a journal that no
    command wrote: one that came with the repository could name any file of this machine.
    """
    journal = folder / JOURNAL
    beside(journal).unlink(missing_ok=True)
    if not journal.exists():
        return []
    try:
        kept = Journal.model_validate_json(journal.read_bytes())
    except ValidationError:
        # Cut off, or not a command's: there is nothing in it to go by.
        journal.unlink()
        return []
    before, after = kept.before, kept.after
    outside = [path for path in before if path not in after or not is_within(folder, path)]
    if outside:
        raise ProjectError(
            f"{journal}: no command writes {outside[0]}. Look at it, delete it, and run this "
            "again; nothing was changed"
        )
    for path in before:
        beside(folder / path).unlink(missing_ok=True)
    ours = [path for path in before if current(folder / path) == after[path] != before[path]]
    undo(folder, {path: before[path] for path in ours})
    return ours


def is_within(folder: Path, path: str) -> bool:
    """Whether a path of a journal stays in the folder, also where a link leads elsewhere."""
    return (folder / path).resolve().is_relative_to(folder.resolve())


def undo(folder: Path, before: Texts) -> None:
    """Puts files back as they were, and takes the journal away last."""
    for path, text in before.items():
        if current(folder / path) != text:
            write(folder / path, text)
    (folder / JOURNAL).unlink(missing_ok=True)


def write(path: Path, text: str | None) -> None:
    """Gives a file a text in one step, so that it is never there in part; None removes it."""
    if text is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = beside(path)
    try:
        with new.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            new.chmod(path.stat().st_mode)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(f".{path.name}.new")


def current(path: Path) -> str | None:
    """A file's text, its line ends as they are; None when it is not there."""
    try:
        return path.read_bytes().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None


def diffs(folder: Path, texts: Texts) -> Iterator[str]:
    """What would change, in the words of `git diff`."""
    for path, text in sorted(texts.items()):
        old, new = current(folder / path), text
        if old == new:
            continue
        yield "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in difflib.unified_diff(
                (old or "").splitlines(keepends=True),
                (new or "").splitlines(keepends=True),
                "/dev/null" if old is None else f"a/{path}",
                "/dev/null" if new is None else f"b/{path}",
            )
        )
