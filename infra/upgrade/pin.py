"""Where a service gets its engine from: `[tool.uv.sources]`, which an upgrade moves to the commit.

Only the commit is written anew: the rest of pyproject.toml is the team's.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from infra.project import ProjectError

ENGINE = "cookiecutter-cloudrun"
LINE = re.compile(r"^cookiecutter-cloudrun *= *\{.*\}$", re.MULTILINE)


@dataclass(frozen=True)
class Pin:
    """The engine's source, as pyproject.toml has it."""

    text: str
    line: str | None
    """Its line; None where it is written in another way than the template's."""
    source: dict[str, object]

    @classmethod
    def read(cls, folder: Path) -> "Pin":
        """The pin of a service. Raises ProjectError when its pyproject.toml can't be read."""
        file = folder / "pyproject.toml"
        try:
            # Line endings as they are, to be written again.
            text = file.read_bytes().decode("utf-8")
            tools = tomllib.loads(text).get("tool", {})
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ProjectError(f"{file}: {error}") from None
        source = tools.get("uv", {}).get("sources", {}).get(ENGINE, {})
        found = LINE.search(text.replace("\r\n", "\n"))
        return cls(text, found[0] if found else None, source if isinstance(source, dict) else {})

    @property
    def url(self) -> str | None:
        """The repository that the engine comes from; None when it comes from elsewhere."""
        git = self.source.get("git")
        return git if isinstance(git, str) else None

    def moved(self, commit: str) -> str | None:
        """The text of pyproject.toml with the engine at a commit; None when that is not for us to
        write: the engine is a folder, or follows a branch, or is not a line with a commit."""
        for key in ("rev", "tag"):
            old = self.source.get(key)
            if self.url is None or not isinstance(old, str):
                continue
            place = re.compile(rf"\b{key}(\s*=\s*)([\"']){re.escape(old)}\2")
            text, count = place.subn(rf'rev\g<1>"{commit}"', self.text)
            return text if count == 1 else None
        return None
