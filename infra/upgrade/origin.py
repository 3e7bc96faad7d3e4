"""`.template.json`: the template a service was generated from, its commit, and the answers.

hooks/post_gen_project.py writes it first; an upgrade writes it again, in the same form.
"""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.project import ProjectError

FILE = ".template.json"
WRITE_ONE = """\
{folder} has no .template.json, so it is not known what it was generated from (services of before
version 0.2.0 have none). Write one, commit it, and run this again. All answers that are not the
defaults belong into it:

{{
  "template": "<URL or folder of the template>",
  "commit": "<the commit it was generated from: rev in pyproject.toml, as it was first>",
  "answers": {{ "service": "{name}" }}
}}"""
NO_COMMIT = """\
{file}: commit: it is not known which commit the service was generated from (the template was an
archive, or a folder without git). Write the nearest one there, and as "template" the repository
that has it; commit, and run this again"""


class Origin(BaseModel):
    """Where a service came from; what is not known of an older one is None."""

    model_config = ConfigDict(frozen=True)

    template: str = Field(min_length=1)
    """A URL, or a folder."""
    subdirectory: str = ""
    commit: str | None = Field(None, pattern="^[0-9a-f]{7,64}$")
    dirty: bool = False
    """Whether the template's folder differed from the commit."""
    version: str | None = None
    answers: dict[str, str | bool | int | float | dict[str, str]] = {}

    @classmethod
    def read(cls, folder: Path) -> "Origin":
        """What the service remembers. Raises ProjectError."""
        file = folder / FILE
        try:
            text = file.read_text("utf-8")
        except FileNotFoundError:
            raise ProjectError(WRITE_ONE.format(folder=folder, name=folder.name)) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ProjectError(f"{file} can't be read: {error}") from None
        try:
            found = cls.model_validate_json(text)
        except ValidationError as error:
            raise ProjectError("\n".join(faults(file, error))) from None
        if found.commit is None:
            raise ProjectError(NO_COMMIT.format(file=file))
        return found

    def text(self) -> str:
        """The file, as the generator writes it."""
        values = self.model_dump(exclude_defaults=True)
        values = {"template": self.template, **values, "version": self.version}
        values["answers"] = dict(sorted(self.answers.items()))
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def faults(file: Path, error: ValidationError) -> list[str]:
    """What is wrong with the file, a line for each field."""
    return [
        ": ".join([str(file), *([".".join(map(str, fault["loc"]))] if fault["loc"] else [])])
        + f": {fault['msg']}"
        for fault in error.errors()
    ]
