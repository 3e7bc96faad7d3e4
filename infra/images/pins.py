"""Where a service's files name images from elsewhere, and how a digest is written there.

Only the name itself is replaced: what else is on the line, and in the file, stays as it is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.images.reference import Reference

DOCKERFILES = ("ci/Dockerfile",)
BUILDS = ("ci/cloud-build.yaml", "ci/cloud-build-checks.yaml")
FROM = re.compile(r"^FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?\s*$", re.I)
STEP = re.compile(r"^\s+(?:-\s+)?name:\s+(?P<image>[^\s#]+)")
NOTHING = "scratch"


@dataclass(frozen=True)
class Place:
    """A line that names an image; `file` is from the service's folder, `line` from 1."""

    file: str
    line: int
    image: Reference

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def places(folder: Path) -> list[Place]:
    """Every image from elsewhere that the build of the service names, in the files' order."""
    found = []
    for file in (*DOCKERFILES, *BUILDS):
        path = folder / file
        if path.is_file():
            read = bases if file in DOCKERFILES else steps
            found += [
                Place(file, number, Reference.parse(name))
                for number, name in read(path.read_text("utf-8").splitlines())
            ]
    return found


def bases(lines: list[str]) -> Iterator[tuple[int, str]]:
    """What a Dockerfile's stages begin with, other than each other."""
    stages = {NOTHING}
    for number, line in enumerate(lines, 1):
        if found := FROM.match(line):
            # A variable is given to the build; which image that is, no file says.
            if found["image"].lower() not in stages and "$" not in found["image"]:
                yield number, found["image"]
            if found["stage"]:
                stages.add(found["stage"].lower())


def steps(lines: list[str]) -> Iterator[tuple[int, str]]:
    """What a build's steps run in."""
    for number, line in enumerate(lines, 1):
        found = STEP.match(line)
        if found and "$" not in found["image"]:
            yield number, found["image"].strip("\"'")


def write(folder: Path, place: Place, digest: str) -> None:
    """Puts the digest where the image is named."""
    path = folder / place.file
    lines = path.read_text("utf-8", newline="").splitlines(keepends=True)
    old, new = str(place.image), str(place.image.pinned(digest))
    lines[place.line - 1] = lines[place.line - 1].replace(old, new, 1)
    path.write_text("".join(lines), "utf-8", newline="")
