"""What the ignore files leave out, all three in the terms of git, which judges them."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory


def left_out(rules: str, paths: Iterable[str]) -> set[str]:
    """Those of the paths that gitignore rules leave out, as git itself reads them."""
    with TemporaryDirectory() as repository:
        quiet = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        subprocess.run(["git", "init", "--quiet", repository], check=True, env=quiet)
        (Path(repository) / ".gitignore").write_text(rules)
        done = subprocess.run(
            ["git", "-C", repository, "check-ignore", "--no-index", "--stdin"],
            input="\n".join(paths),
            capture_output=True,
            text=True,
            check=False,
            env=quiet,
        )
    assert done.returncode in {0, 1}, done.stderr
    return set(done.stdout.splitlines())


def gitignore_rules(folder: Path) -> str:
    """The rules of .gitignore, as they are."""
    return (folder / ".gitignore").read_text()


def gcloudignore_rules(folder: Path) -> str:
    """The rules of .gcloudignore, with the file that it includes in its place."""
    rules = (folder / ".gcloudignore").read_text()
    return rules.replace("#!include:.gitignore", gitignore_rules(folder))


def dockerignore_rules(folder: Path) -> str:
    """The rules of .dockerignore for git: Docker's start at the context's root, git's anywhere."""

    def anchored(rule: str) -> str:
        if not rule or rule.startswith(("#", "**/")):
            return rule
        return f"!/{rule[1:]}" if rule.startswith("!") else f"/{rule}"

    return "\n".join(map(anchored, (folder / ".dockerignore").read_text().splitlines()))
