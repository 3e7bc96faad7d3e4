"""What a revision remembers of the release that made it, in annotations of its own.

The live service is the only memory there is: what is serving, what was before it, and what each of
them needs of the database is read back from here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from infra.names import MANAGED_BY

PREFIX = f"{MANAGED_BY}/"
MODELS = f"{PREFIX}models"

type Models = Mapping[str, Mapping[str, str]]
"""The columns of each table as a version of the service has them in its models: their types, with
a ? at the end where they may be null."""


@dataclass(frozen=True)
class Record:
    """A release, as its revision tells it; "" for what is not known."""

    image: str = ""
    """The image, by digest."""
    commit: str = ""
    branch: str = ""
    author: str = ""
    dirty: str = ""
    """"true" when files differed from the commit."""
    source: str = ""
    """The SHA-256 of the packaged source."""
    engine: str = ""
    """The version of cookiecutter-cloudrun that released it."""
    by: str = ""
    """Who released it, as a member of policies."""
    schema: str = ""
    """The newest of the migrations in its source."""
    previous: str = ""
    """The revisions that served before it: orders-abc-1=90,orders-abd-1=10."""
    models: Models = field(default_factory=dict)

    @classmethod
    def read(cls, annotations: Mapping[str, str]) -> "Record":
        """The record in a revision's annotations."""
        found = {
            each.name: annotations.get(PREFIX + each.name, "")
            for each in fields(cls)
            if each.name != "models"
        }
        try:
            models = json.loads(annotations.get(MODELS, "{}"))
        except ValueError:
            models = {}
        return cls(**found, models=models if isinstance(models, dict) else {})

    def annotations(self) -> dict[str, str]:
        """The annotations that keep it; what is not known is left out."""
        given = {
            PREFIX + each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name != "models" and getattr(self, each.name)
        }
        if self.models:
            given[MODELS] = json.dumps(self.models, separators=(",", ":"), sort_keys=True)
        return given
