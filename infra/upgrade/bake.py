"""A service as a template makes it: rendered by baking.py, without lock, commit and pin."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.project import ProjectError, environment
from infra.upgrade import UpgradeError
from infra.upgrade.baking import REFUSED, Reply, Request
from infra.upgrade.origin import FILE
from infra.upgrade.pin import LINE

POST_GEN = "post_gen_project.*"


@dataclass(frozen=True)
class Question:
    """A question of a template that a service has not answered yet."""

    key: str
    text: str
    default: object
    choices: tuple[str, ...]
    """Those to choose from; empty where the answer is free."""


@dataclass(frozen=True)
class Oven:
    """Where services are baked: a scratch folder."""

    folder: Path

    def unanswered(self, template: Path, answers: Mapping[str, object]) -> list[Question]:
        """The template's questions that have no answer among those, in its order.

        Raises ProjectError when an answer is none of those that it takes.
        """
        reply = self._ask(template, answers, None, judged=False)
        prompts = reply["prompts"]
        return [
            Question(
                key,
                prompt(prompts.get(key), key),
                reply["answers"][key],
                tuple(map(str, raw)) if isinstance(raw, list) else (),
            )
            for key, raw in reply["questions"].items()
            if key not in answers
        ]

    def bake(
        self, template: Path, answers: Mapping[str, object], name: str, pin: str | None
    ) -> Path:
        """The folder of a service with the answers, as it is before a hook finishes it: `pin` is
        the line that says where its engine comes from, in place of the template's.

        Raises UpgradeError.
        """
        reply = self._ask(template, answers, name, judged=False)
        return self._finished(reply, pin)

    def bake_judged(
        self, template: Path, answers: Mapping[str, object], name: str, pin: str | None
    ) -> tuple[Path, dict[str, Any]]:
        """The same of a template that may refuse the answers, and those that it took.

        Raises ProjectError when it refuses one.
        """
        for hook in (template / "hooks").glob(POST_GEN):
            hook.unlink()
        reply = self._ask(template, answers, name, judged=True)
        return self._finished(reply, pin), reply["answers"]

    def _finished(self, reply: Reply, pin: str | None) -> Path:
        folder = Path(reply["folder"] or "")
        pyproject = folder / "pyproject.toml"
        if pin is not None and pyproject.is_file():
            text = LINE.sub(lambda _: pin, pyproject.read_text("utf-8"))
            pyproject.write_text(text, "utf-8", newline="\n")
        return folder

    def _ask(
        self, template: Path, answers: Mapping[str, object], name: str | None, *, judged: bool
    ) -> Reply:
        settings = self.folder / "cookiecutter.json"
        keeps = {"replay_dir": str(self.folder / "replay"), "cookiecutters_dir": str(self.folder)}
        settings.write_text(json.dumps(keeps), "utf-8")
        output = self.folder / name if name else None
        if output:
            output.mkdir()
        request: Request = {
            "template": str(template),
            "answers": dict(answers),
            "output": str(output) if output else None,
            "hooks": judged,
            "settings": str(settings),
        }
        done = subprocess.run(
            [sys.executable, "-m", "infra.upgrade.baking"],
            cwd=self.folder,
            env=environment(PYTHONUTF8="1"),
            input=json.dumps(request),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode == REFUSED:
            said = done.stderr.strip()
            raise ProjectError(f"{FILE}: answers: the template refuses them:\n{said}")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UpgradeError(f"the template at {template} can't be rendered: {last}")
        reply: Reply = json.loads(done.stdout)
        return reply


def prompt(text: object, key: str) -> str:
    """What a question asks, as cookiecutter.json has it."""
    if isinstance(text, dict):
        text = text.get("__prompt__")
    return re.sub(r"\s+", " ", text) if isinstance(text, str) else key
