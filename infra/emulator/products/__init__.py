"""One file per product of Google's: its API, its methods, its defaults."""

import importlib
import pkgutil

from infra.emulator.api import Api


def apis() -> list[Api]:
    """Returns the Api of every file here (its `api`); the server joins those of one prefix."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        api = getattr(importlib.import_module(f"{__name__}.{module.name}"), "api", None)
        if isinstance(api, Api):
            found.append(api)
    return found
