"""The template's example entity, written by what writes every entity, with Jinja's names put in.

Of this repository only: `invoke docs` puts the texts where cookiecutter finds them.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.scaffold import layers
from infra.scaffold.entity import Entity, Field, Type

SERVICE = "{{cookiecutter.service}}"
FIELDS = (
    Field("name", Type.STR, unique=True, minimum=1, maximum=255),
    Field("description", Type.STR, optional=True, maximum=1000),
)
# Names that nothing else in the files has, each as the template spells it.
PLACEHOLDER = Entity("zzq_one", "zzq_manies", FIELDS)
SPELLINGS = {
    "ZzqOne": "{{ cookiecutter.__entity_class }}",
    "zzq_one": "{{ cookiecutter.__entity }}",
    "zzq_manies": "{{ cookiecutter.__entities }}",
    "zzq-manies": "{{ cookiecutter.__entity_path }}",
    "Zzq one": "{{ cookiecutter.__entity_words | capitalize }}",
    "zzq one": "{{ cookiecutter.__entity_words }}",
    "Zzq manies": "{{ cookiecutter.__entities_words | capitalize }}",
    "zzq manies": "{{ cookiecutter.__entities_words }}",
}
# The one import in which the entity's name decides the order.
SORTED = """from src.schemas import (
    Page,
    Response,
    ZzqOneQuery,
    errors,
)
"""
SORTED_BY_JINJA = """from src.schemas import (
{%- for name in [cookiecutter.__entity_class ~ "Query", "Page", "Response"] \
| sort(case_sensitive=true) %}
    {{ name }},
{%- endfor %}
    errors,
)
"""
RUFF = ("--isolated", "--quiet", "--line-length=80", "--target-version=py313")
OURS = "lint.isort.known-first-party=['src', 'tests']"


def texts() -> dict[str, str]:
    """The files of the example, by their path in this repository."""
    found = formatted(layers.texts(PLACEHOLDER, {}))
    return {f"{SERVICE}/{named(path)}": spelled(text) for path, text in found.items()}


def named(path: str) -> str:
    """The path as cookiecutter leaves the file out where there is no example."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{{% if cookiecutter.__entity %}}{spelled(name)}{{% endif %}}"


def spelled(text: str) -> str:
    """The text with Jinja's names in place of the placeholder's."""
    text = text.replace(SORTED, SORTED_BY_JINJA)
    for name, jinja in SPELLINGS.items():
        text = text.replace(name, jinja)
    return text


def formatted(found: dict[str, str]) -> dict[str, str]:
    """The texts as the service's ruff has them, whose settings these are."""
    with TemporaryDirectory(prefix="template-") as name:
        room = Path(name)
        for path, text in found.items():
            (room / path).parent.mkdir(parents=True, exist_ok=True)
            (room / path).write_text(text, "utf-8", newline="\n")
        ruff = [sys.executable, "-m", "ruff"]
        check = ("check", "--fix", "--select=I", f"--config={OURS}")
        for words in (check, ("format",)):
            subprocess.run([*ruff, *words, *RUFF, *found], cwd=room, check=True)
        return {path: (room / path).read_text("utf-8") for path in found}
