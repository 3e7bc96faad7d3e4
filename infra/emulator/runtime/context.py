"""The build context: the files `docker build` may see, as .dockerignore says.

Source: Docker, "Build context" (.dockerignore files). Only reads.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Context:
    """A folder less what is ignored."""

    folder: Path

    @cached_property
    def files(self) -> dict[str, Path]:
        """Every file by its path from the folder, with slashes, in order."""
        found: dict[str, Path] = {}
        for parent, folders, names in os.walk(self.folder):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                relative = path.relative_to(self.folder).as_posix()
                if not self._ignored(relative):
                    found[relative] = path
        return found

    def select(self, pattern: str) -> Iterator[tuple[str, str]]:
        """The files a COPY source names: each with where it goes below the destination.

        A folder's content goes there, a file under its own name.
        """
        wanted = pattern.strip("/").removeprefix("./") or "."
        match = re.compile(_glob(wanted) + r"(?P<below>/.+)?")
        for relative in self.files:
            if wanted == ".":
                yield relative, relative
            elif found := match.fullmatch(relative):
                below = found["below"]
                yield relative, below[1:] if below else Path(relative).name

    def digest(self, relative: str) -> str:
        """A hash of a file's content and of whether it is a program."""
        path = self.files[relative]
        mode = b"x" if os.access(path, os.X_OK) else b"-"
        return hashlib.sha256(mode + path.read_bytes()).hexdigest()

    @cached_property
    def _rules(self) -> list[tuple[bool, re.Pattern[str]]]:
        file = self.folder / ".dockerignore"
        lines = file.read_text("utf-8").splitlines() if file.is_file() else []
        rules = []
        for line in (line.strip() for line in lines):
            if not line or line.startswith("#"):
                continue
            kept = line.startswith("!")
            pattern = line.removeprefix("!").strip().strip("/").removeprefix("./")
            rules.append((not kept, re.compile(_glob(pattern) + r"(/.*)?")))
        return rules

    def _ignored(self, relative: str) -> bool:
        ignored = False
        for ignores, pattern in self._rules:
            if ignores != ignored and pattern.fullmatch(relative):
                ignored = ignores
        return ignored


def _glob(pattern: str) -> str:
    """Go's filepath.Match with `**`, as a regular expression."""
    parts = []
    position = 0
    while position < len(pattern):
        if pattern.startswith("**/", position):
            parts.append("(?:.*/)?")
            position += 3
        elif pattern.startswith("**", position):
            parts.append(".*")
            position += 2
        elif pattern[position] == "*":
            parts.append("[^/]*")
            position += 1
        elif pattern[position] == "?":
            parts.append("[^/]")
            position += 1
        elif pattern[position] == "[" and (end := pattern.find("]", position)) > 0:
            parts.append(pattern[position : end + 1])
            position = end + 1
        else:
            parts.append(re.escape(pattern[position]))
            position += 1
    return "".join(parts)
