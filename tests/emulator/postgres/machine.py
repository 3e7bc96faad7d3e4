"""What this machine has: the marks of tests that need more than Python, and its PostgreSQLs."""

import os
from pathlib import Path

import pytest

from infra.emulator.postgres import Binaries, binaries

NOBODY = 65534
is_root = hasattr(os, "geteuid") and os.geteuid() == 0
only_root = pytest.mark.skipif(not is_root, reason="only root meets this")
only_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals and no sockets")
only_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")


def installed(source: str) -> Binaries:
    """The PostgreSQL from this source; the test is skipped when there is none."""
    for found in binaries.installed():
        if found.source.endswith(source):
            return found
    pytest.skip(f"there is no PostgreSQL from the {source} here")
