"""Commands at a terminal: what they ask is seen, and answered as at a keyboard."""

import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

SECONDS = 60
CTRL_C = "\x03"
CTRL_D = "\x04"
# The terminal has to be the command's own, or it could not be asked at, nor Ctrl-C reach it.
LOGIN = "import os, sys; os.login_tty(int(sys.argv[1])); os.execvp(sys.argv[2], sys.argv[2:])"


class Terminal:
    """A command with a terminal of its own, gone at the end of the block."""

    def __init__(self, command: list[str], folder: Path, variables: Mapping[str, str]) -> None:
        self._keyboard, screen = os.openpty()
        self.seen = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, str(screen), *command],
            cwd=folder,
            env=variables,
            pass_fds=[screen],
        )
        os.close(screen)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._keyboard)

    def wait_for(self, text: str) -> None:
        """Returns when the text is on the screen."""
        deadline = monotonic() + SECONDS
        while text not in self.seen:
            assert self._read(deadline), f"{text!r} is not in:\n{self.seen}"

    def type(self, text: str) -> None:
        """Presses keys, once they are waited for: a program that is still on its way to read them
        can miss a Ctrl-C, if it comes in the microseconds before it reads."""
        self._wait_for_reader()
        os.write(self._keyboard, text.encode())

    def _wait_for_reader(self) -> None:
        """Returns when the command sleeps, where the system tells."""
        status = Path(f"/proc/{self._process.pid}/stat")
        deadline = monotonic() + SECONDS
        while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "S":
            assert monotonic() < deadline, f"it does not read:\n{self.seen}"

    def end(self) -> tuple[int, str]:
        """Waits until the command ends. Its exit status, and all that was on the screen."""
        deadline = monotonic() + SECONDS
        while self._read(deadline):
            pass
        return self._process.wait(SECONDS), self.seen.replace("\r\n", "\n")

    def _read(self, deadline: float) -> bool:
        """Takes in what is written; False when nothing more comes."""
        ready, _, _ = select.select([self._keyboard], [], [], max(0, deadline - monotonic()))
        assert ready, f"nothing more for {SECONDS} s after:\n{self.seen}"
        try:
            written = os.read(self._keyboard, 4096)
        except OSError:
            # Linux's way to say that nobody has the terminal open.
            return False
        self.seen += written.decode("utf-8", "replace")
        return bool(written)
