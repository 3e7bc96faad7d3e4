"""Compiled Python kept from one image to the next, so that only the first compiles everything.

uv links installed files from its cache, so the same file in two images is the same inode, and
its bytecode is the same too. Where uv has to copy, nothing is found, and everything is compiled.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def keep(environment: Path, kept: Path) -> None:
    """Remembers the bytecode of a virtual environment."""
    for packages, module, compiled in _modules(environment):
        if not _same(f"{kept}/{module}", f"{packages}/{module}"):
            _link(f"{packages}/{compiled}", f"{kept}/{compiled}")
            _link(f"{packages}/{module}", f"{kept}/{module}")


def restore(environment: Path, kept: Path) -> None:
    """Puts remembered bytecode beside those modules that are still the same file."""
    for packages, module, compiled in _modules(environment):
        if _same(f"{kept}/{module}", f"{packages}/{module}"):
            _link(f"{kept}/{compiled}", f"{packages}/{compiled}")


def _modules(environment: Path) -> Iterator[tuple[str, str, str]]:
    """Each installed module: its site-packages, and there its path and that of its bytecode."""
    for packages in environment.glob("lib/python*/site-packages"):
        # As importlib names it: cpython-313 for python3.13.
        tag = "cpython-" + packages.parent.name.removeprefix("python").replace(".", "")
        for parent, _, names in os.walk(packages):
            folder = os.path.relpath(parent, packages)
            for name in names:
                if name.endswith(".py"):
                    compiled = f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"
                    yield str(packages), f"{folder}/{name}", compiled


def _same(kept: str, source: str) -> bool:
    try:
        return os.path.samefile(kept, source)
    except OSError:
        return False


def _link(source: str, target: str) -> None:
    """Links a file that is there in the place of one that may be."""
    with contextlib.suppress(FileNotFoundError):
        if _same(source, target) or not os.path.exists(source):
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
        with contextlib.suppress(OSError):
            os.link(source, target)
