"""The small process around each program we start: it ends the program when the emulator is gone.

Run as a file, with the standard library alone. Its input is a pipe the emulator holds: when that
closes, because the emulator closed it or died, the program's whole process group gets SIGTERM,
and SIGKILL when the grace is over. SIGUSR1 kills the group at once. What a program leaves behind
in its group is killed with it, as in a container.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time

# What a shell answers for a program that is not there.
NOT_FOUND = 127
# From <sys/prctl.h>.
PR_SET_PDEATHSIG = 1

type Program = "subprocess.Popen[bytes]"


class Keeper:
    """Keeps one program."""

    def __init__(self, emulator: int, grace: float) -> None:
        self.emulator = emulator
        self.grace = grace
        self.program: subprocess.Popen[bytes] | None = None
        self.killed = False

    def keep(self, command: list[str]) -> int:
        """Runs the program to its end. Returns its status, 128 and the number for a signal."""
        # Handlers, which the program does not inherit, as it would inherit being deaf to signals.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGUSR1, lambda *_: self.kill())
        try:
            self.program = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                process_group=0,
                # No thread runs yet.
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            )
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
            return NOT_FOUND
        if self.killed:
            self.kill()
        threading.Thread(target=self.watch, daemon=True).start()
        status = self.program.wait()
        self.signal(signal.SIGKILL)
        return 128 - status if status < 0 else status

    def watch(self) -> None:
        """Waits until the emulator lets go of the pipe, or dies, then ends the program."""
        # A process forked from the emulator may hold the pipe open after the emulator's death.
        while os.getppid() == self.emulator and not select.select([0], [], [], 1.0)[0]:
            pass
        self.signal(signal.SIGTERM)
        # Where the program ends in time, this process does too, in `keep`.
        time.sleep(self.grace)
        self.kill()

    def kill(self) -> None:
        """Kills the program and whatever it started, now or when it is there."""
        self.killed = True
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Sends a signal to the program's group."""
        if self.program is not None:
            with contextlib.suppress(OSError):
                os.killpg(self.program.pid, number)


def die_with_parent() -> None:
    """Has Linux kill this process when the one that started it is gone, killed itself say."""
    import ctypes  # noqa: PLC0415  (costs time, and is needed on Linux only)

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    code = Keeper(int(sys.argv[1]), float(sys.argv[2])).keep(sys.argv[3:])
    sys.stderr.flush()
    # Not through the interpreter's own end, which would wait for the thread that reads the pipe.
    os._exit(code)
