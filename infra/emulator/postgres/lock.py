"""A lock on a folder, held while a server of it is watched, and free as soon as its holder is dead.

It says who owns a server, not whether one runs.
"""

import errno
import os
import sys
from pathlib import Path


class FolderLock:
    """A file that one process at a time can hold locked."""

    def __init__(self, path: Path) -> None:
        # Read-only and open to all: the same folder may be used by root now and by its owner later.
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | _NO_FOLLOW, 0o644)

    def acquire(self) -> bool:
        """Takes the lock, or returns False when somebody holds it."""
        try:
            _lock(self.descriptor)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                return False
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
        return True

    def close(self) -> None:
        """Lets go; a process the descriptor was handed to goes on holding the lock."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


if sys.platform == "win32":
    import msvcrt

    _NO_FOLLOW = 0

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    _NO_FOLLOW = os.O_NOFOLLOW

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
