"""uv, with which images are made, and the environment its commands get."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

NO_UV = "the emulator needs uv to build images: https://docs.astral.sh/uv/getting-started/"
# What programs of a build need to know of this machine. Anything else, the credentials of whoever
# started the emulator above all, is not for them.
_OF_THE_USER = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC")
_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CACHES = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
_COMPILERS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PKG_CONFIG_PATH", "CC", "CXX")
_WINDOWS = ("APPDATA", "COMSPEC", "LOCALAPPDATA", "PATHEXT", "SYSTEMDRIVE", "SYSTEMROOT")
_FOLDERS = ("TEMP", "TMP", "USERPROFILE", "WINDIR")
KEPT = {*_OF_THE_USER, *_NETWORK, *_TRUST, *_CACHES, *_COMPILERS, *_WINDOWS, *_FOLDERS}
# Settings of uv and pip, among them the indexes; where Pythons and compilers are.
KEPT_PREFIXES = ("UV_", "PIP_", "NIX_", "PYENV_", "ASDF_", "MISE_")
# Ours, or set again for each image; and what publishes, which a build does not.
NOT_THEIRS = (
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_WORKING_DIRECTORY",
    "UV_PYTHON",
    "UV_PUBLISH_TOKEN",
    "UV_PUBLISH_PASSWORD",
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


def machine_environment() -> dict[str, str]:
    """What a program of a build gets of the emulator's own environment."""
    return {
        name: value
        for name, value in os.environ.items()
        if (name.upper() in KEPT or name.startswith(KEPT_PREFIXES)) and name not in NOT_THEIRS
    }


def uv_cache() -> Path:
    """Where the uv of this machine keeps what it has fetched, whatever HOME is later."""
    if given := os.environ.get("UV_CACHE_DIR"):
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"


def furnish(home: Path) -> None:
    """Lets the indexes that this machine's uv and pip are told of be those of another home too."""
    for name in ("uv", "pip"):
        known, place = Path.home() / ".config" / name, home / ".config" / name
        if known.is_dir() and not place.is_symlink():
            place.parent.mkdir(exist_ok=True)
            place.symlink_to(known)


def uv_environment(base_image: str, dockerfile: Mapping[str, str]) -> dict[str, str]:
    """The variables for uv: this machine's, and those the Dockerfile sets, for its Python."""
    ours = machine_environment()
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
