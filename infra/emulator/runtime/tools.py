"""uv, with which images are made, and the environment its commands get."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache

NO_UV = "the emulator needs uv to build images: https://docs.astral.sh/uv/getting-started/"
# Ours, or of a venv we run in, or set again for each image.
NOT_THEIRS = (
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_WORKING_DIRECTORY",
    "UV_PYTHON",
    "UV",
)
# What a Dockerfile sets for uv because of Docker's file systems; ours are this machine's.
DOCKERS = ("UV_LINK_MODE", "UV_CACHE_DIR", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON")


class NoUvError(Exception):
    """There is no uv that runs."""


@cache
def find_uv() -> str:
    """The uv to call: the one `$UV` names, or the one on PATH. Raises NoUvError.

    A shim on PATH may be there and answer 127, which means that there is none.
    """
    for candidate in (os.environ.get("UV"), shutil.which("uv")):
        if candidate and _answers(candidate):
            return candidate
    raise NoUvError(NO_UV)


def uv_environment(base_image: str, dockerfile: Mapping[str, str]) -> dict[str, str]:
    """The variables for uv: this machine's, and those the Dockerfile sets, for its Python."""
    ours = {name: value for name, value in os.environ.items() if name not in NOT_THEIRS}
    theirs = {
        name: value
        for name, value in dockerfile.items()
        if name not in DOCKERS and name.startswith("UV_")
    }
    python = python_for(base_image)
    chosen = {"UV_PYTHON": python} if python else {}
    return ours | theirs | chosen | {"UV_NO_PROGRESS": "1", "NO_COLOR": "1"}


def python_for(base_image: str) -> str | None:
    """What uv's --python takes for a base image: ours when it is the same version."""
    version = re.search(r"(?:^|/)python:(\d+\.\d+)", base_image)
    if version is None:
        return None
    same = version[1] == f"{sys.version_info.major}.{sys.version_info.minor}"
    return sys.executable if same else version[1]


def _answers(uv: str) -> bool:
    try:
        return subprocess.run([uv, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
