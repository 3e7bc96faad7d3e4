"""What a revision remembers of the release that made it, in annotations of its own.

The live service is the only memory there is: whoever asks what was released reads it back here.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from infra.names import MANAGED_BY

PREFIX = f"{MANAGED_BY}/"
# As rollout.next_revision names what is released; Cloud Run's own names end with letters.
RELEASED = re.compile(r"-[0-9a-z]{1,7}-\d+$")


@dataclass(frozen=True)
class Record:
    """A release, as its revision tells it; "" for what is not known."""

    commit: str = ""
    branch: str = ""
    author: str = ""
    dirty: str = ""
    """"true" when files of the service differed from the commit."""
    source: str = ""
    """SHA-256 of the packaged source."""
    engine: str = ""
    """The version of cookiecutter-cloudrun that released it."""
    by: str = ""
    """Who released it, for people."""
    schema: str = ""
    """The newest revision of the database that its image has."""
    columns: str = ""
    """JSON of its models' tables, `{table: {column: type}}`; "?" behind a type: it may be NULL."""

    @classmethod
    def read(cls, annotations: Mapping[str, str]) -> "Record":
        """The record in a revision's annotations; empty when it was not released by us."""
        return cls(**{each.name: annotations.get(PREFIX + each.name, "") for each in fields(cls)})

    def annotations(self) -> dict[str, str]:
        """The annotations that keep it; what is not known is left out."""
        return {PREFIX + name: value for name, value in asdict(self).items() if value}


def was_released(revision: str) -> bool:
    """Whether a revision, by its short name, was made by a release, and not by a change of the
    service's shape alone."""
    return bool(RELEASED.search(revision))
