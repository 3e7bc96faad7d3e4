"""Asks Docker which digest a tag has: it knows its own registry, its mirrors, and who is logged in.

Only its command line is needed, no daemon. Source: Docker, "docker buildx imagetools inspect".
"""

import json
import shutil
import subprocess

from infra.images.reference import DIGEST, Reference
from infra.images.registry import RegistryError


def digest(image: Reference) -> str:
    """The digest that the image's tag has now. Raises RegistryError."""
    docker = shutil.which("docker")
    if docker is None:
        raise RegistryError(
            f"{image.tagged}: no registry is named, so Docker's own is meant, which only Docker"
            " knows, and it is not installed here. Name a registry, or a mirror, with --registry"
        )
    command = [docker, "buildx", "imagetools", "inspect", "--format", "{{json .Manifest}}"]
    done = subprocess.run(
        [*command, image.tagged], capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise RegistryError(f"{image.tagged}: docker says: {last_line(done.stderr)}")
    try:
        found = str(json.loads(done.stdout)["digest"])
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{image.tagged}: docker gives no digest: {error}") from error
    if not DIGEST.fullmatch(found):
        raise RegistryError(f"{image.tagged}: docker gives the digest {found!r}, which is none")
    return found


def last_line(text: str) -> str:
    """What a program said last."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "nothing"
