"""The state folder, closed to other users of the machine: it holds secrets and what builds make.

A folder that somebody else uses, too, is left as it is; only our own files in it are closed.
"""

import os
import sys
from pathlib import Path

from infra.emulator.postgres.folders import ENTER_ONLY

_FILES = ("world.sqlite", "world.sqlite-wal", "world.sqlite-shm", "emulator.log")
_FOLDERS = ("blobs", "builds", "home", "images")
_OURS = {"lock", *_FILES, *_FOLDERS}


def make_private(folder: Path) -> None:
    """Makes the folder, or closes what an earlier emulator has left open in it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform == "win32" or folder.stat().st_uid != os.geteuid():
        return
    names = {path.name for path in folder.iterdir()}
    if not names or names & _OURS:
        # The account PostgreSQL runs as for root may have to go through to its data.
        folder.chmod(0o700 if os.geteuid() else ENTER_ONLY)
    for name in _FOLDERS:
        (folder / name).mkdir(mode=0o700, exist_ok=True)
        (folder / name).chmod(0o700)
    # SQLite gives its other files the mode of the first.
    os.close(os.open(folder / _FILES[0], os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    for name in names & {*_FILES} | {_FILES[0]}:
        (folder / name).chmod(0o600)
