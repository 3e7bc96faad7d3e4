"""Git repositories on this machine, as somebody works in them, and what pushes them."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

AUTHOR = {
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@acme.com",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@acme.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


@dataclass(frozen=True)
class Worked:
    """A repository, on the branch main from the first."""

    folder: Path

    @classmethod
    def begin(cls, folder: Path) -> "Worked":
        """A new one."""
        folder.mkdir(exist_ok=True)
        made = cls(folder)
        made.git("init", "--quiet", "--initial-branch=main")
        return made

    def git(self, *arguments: str) -> str:
        """What git prints."""
        return subprocess.run(
            ["git", "-C", str(self.folder), *arguments],
            env={**os.environ, **AUTHOR},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        ).stdout.strip()

    def commit(self, message: str, **files: str) -> str:
        """Commits all there is, with these files besides, whose names have _ for what is not
        theirs. Returns the commit's id."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def push(self, host: str, repository: str, **told: Any) -> httpx.Response:
        """Tells an emulator of a push, of the branch main where none is named."""
        event = {"branch": "main"} if "tag" not in told else {}
        body = {"repository": repository, "path": str(self.folder), **event, **told}
        return httpx.post(f"http://{host}/emulator/push", json=body, trust_env=False)
