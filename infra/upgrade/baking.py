"""A program: renders a template with answers, as cookiecutter does, in a process of its own.

The template's `local_extensions` is imported by its name, so one process knows one template. It
reads one request from standard input, and answers on standard output.
"""

# Imported when the template comes first on the path.
# ruff: noqa: PLC0415

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any, TypedDict

REFUSED = 3


class Request(TypedDict):
    """What to render; without `output` only the answers are looked at."""

    template: str
    answers: dict[str, Any]
    output: str | None
    hooks: bool
    """Whether the template judges the answers: its pre_gen hook runs."""
    settings: str
    """cookiecutter's settings file: not the user's, who may have defaults of their own."""


class Reply(TypedDict):
    """All answers, those that were not given by their defaults, and the folder that was made."""

    answers: dict[str, Any]
    questions: dict[str, Any]
    prompts: dict[str, Any]
    folder: str | None


def main() -> int:
    """Answers one request; REFUSED when the answers don't fit the template."""
    request: Request = json.load(sys.stdin)
    # What a hook prints is no part of the answer.
    standard_output = os.dup(1)
    os.dup2(2, 1)
    logging.disable()
    # Before anything that is installed: the engine's own folder may have one of the same name.
    sys.path.insert(0, request["template"])

    from cookiecutter.exceptions import CookiecutterException

    try:
        reply = answer(request)
    except (CookiecutterException, ValueError) as error:
        print(f"{error}", file=sys.stderr)
        return REFUSED
    with open(standard_output, "w", encoding="utf-8") as output:
        json.dump(reply, output)
    return 0


def answer(request: Request) -> Reply:
    """Renders what is asked for."""
    from cookiecutter.generate import generate_context
    from cookiecutter.main import cookiecutter
    from cookiecutter.prompt import prompt_for_config

    template = Path(request["template"])
    raw = json.loads((template / "cookiecutter.json").read_text("utf-8"))
    questions = {key: value for key, value in raw.items() if not key.startswith("_")}
    given = {
        key: typed(value, questions[key])
        for key, value in request["answers"].items()
        if key in questions
    }
    context = generate_context(str(template / "cookiecutter.json"), extra_context=given)
    answers = prompt_for_config(context, no_input=True)
    folder = None
    if request["output"] is not None:
        folder = cookiecutter(
            request["template"],
            no_input=True,
            extra_context=given,
            output_dir=request["output"],
            config_file=request["settings"],
            accept_hooks=request["hooks"],
        )
    return {
        "answers": {key: answers[key] for key in questions},
        "questions": questions,
        "prompts": raw.get("__prompts__", {}),
        "folder": folder,
    }


def typed(value: object, question: object) -> object:
    """An answer as if it had been typed: cookiecutter renders what it is given."""
    if isinstance(value, str) and isinstance(question, str):
        return "{{ " + json.dumps(value, ensure_ascii=False) + " }}"
    return value


if __name__ == "__main__":
    sys.exit(main())
