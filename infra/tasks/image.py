"""`invoke image.pin`: the images that the build starts from, by digest; again, it renews them."""

# ruff: noqa: PLC0415

from pathlib import Path
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.project import Project, ProjectError
from infra.report import complain, say
from infra.tasks.options import FAILED, SERVICE, friendly

if TYPE_CHECKING:
    from infra.images.reference import Reference

DUE = 3
PIN = {
    "service": SERVICE,
    "registry": "Ask this registry for images that name none, say a mirror. Default: Docker asks.",
    "check": "Write nothing; exit status 3 when a digest is missing, or a tag has moved.",
}


@task(help=PIN)
@friendly
def pin(
    context: Context,
    service: str | None = None,
    registry: str | None = None,
    check: bool = False,
) -> None:
    """Write the digests of the images in ci/ behind their tags; again: renew them."""
    from infra.images import pins

    folder = Project.find(service).folder
    found = pins.places(folder)
    if not found:
        raise ProjectError(f"{folder}: no file of ci/ names an image")
    # All are asked before a line is written: half a renewal is no state to commit.
    digests = ask([place.image for place in found], registry)
    changed = 0
    for place in found:
        digest = digests[place.image.tagged]
        is_new = place.image.digest != digest
        changed += is_new
        say(f"{'changed' if is_new else 'ok':<8} {place}  {place.image.tagged}@{digest}")
        if is_new and not check:
            pins.write(folder, place, digest)
    say(f"\nok={len(found) - changed} changed={changed}")
    if check and changed:
        raise Exit(code=DUE)


def ask(images: "list[Reference]", registry: str | None) -> dict[str, str]:
    """The digest that each tag has now; of all that fail, each is said."""
    from infra.images import docker
    from infra.images import registry as registries

    found: dict[str, str] = {}
    failed = False
    for image in {image.tagged: image for image in images}.values():
        place = image.registry or registry
        try:
            found[image.tagged] = registries.digest(image, place) if place else docker.digest(image)
        except registries.RegistryError as error:
            complain(f"error: {error}")
            failed = True
    if failed:
        raise Exit(code=FAILED)
    return found


def unpinned(folder: Path) -> list[str]:
    """A line for each image of the service's that is named by a tag alone."""
    from infra.images import pins

    return [
        f"{place}: {place.image.tagged} is a tag, which can move: uv run invoke image.pin"
        for place in pins.places(folder)
        if not place.image.is_pinned
    ]


image = Collection("image", pin)
