"""The name of an image as files have it: `[registry/]repository[:tag][@digest]`.

Source: distribution/reference, "Grammar". Nothing is asked of a registry here.
"""

import re
from dataclasses import dataclass, replace

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LATEST = "latest"
# What Docker puts before a name of one word, in its own registry and in mirrors of it.
OFFICIAL = "library"


@dataclass(frozen=True)
class Reference:
    """An image. `registry` is empty where none is named, which means Docker's own."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """The parts of a name."""
        name, _, digest = text.partition("@")
        first, slash, rest = name.partition("/")
        # Only these are hosts; anything else is the first part of a repository.
        named = bool(slash) and (first == "localhost" or "." in first or ":" in first)
        registry, path = (first, rest) if named else ("", name)
        repository, _, tag = path.partition(":")
        return cls(registry, repository, tag, digest)

    def __str__(self) -> str:
        return f"{self.tagged}@{self.digest}" if self.digest else self.tagged

    @property
    def tagged(self) -> str:
        """The name without a digest."""
        place = f"{self.registry}/" if self.registry else ""
        return f"{place}{self.repository}{f':{self.tag}' if self.tag else ''}"

    @property
    def is_pinned(self) -> bool:
        """Whether it is one image for ever, and no tag that can move."""
        return bool(DIGEST.fullmatch(self.digest))

    def pinned(self, digest: str) -> "Reference":
        """The same, at a digest; the tag stays, for who reads it and for the next renewal."""
        return replace(self, digest=digest)

    @property
    def path(self) -> str:
        """The repository as a registry calls it: there Docker's official images have a folder."""
        if self.registry or "/" in self.repository:
            return self.repository
        return f"{OFFICIAL}/{self.repository}"
