"""What can be set about the runtime: by its tests, and in the emulator's environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

PREFIX = "CLOUD_EMULATOR_"


@dataclass(frozen=True)
class Settings:
    """Seconds. `CLOUD_EMULATOR_IDLE_SECONDS=60` in the environment, and so on."""

    # Cloud Run keeps an idle instance for up to 15 minutes.
    idle_seconds: float = 900.0
    # How long a request waits for room before it is answered 429.
    queue_seconds: float = 10.0
    # From SIGTERM to SIGKILL.
    grace_seconds: float = 10.0
    # 0: databases are quicker and may be lost when the machine crashes.
    durable: float = 1
    # 1: the gateway asks for a token that may invoke a private service.
    check_invokers: float = 0

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """The settings with what the environment says. Raises ValueError for what is no number."""
        found = {
            field.name: float(variables[name])
            for field in fields(cls)
            if (name := PREFIX + field.name.upper()) in variables
        }
        return cls(**found)
