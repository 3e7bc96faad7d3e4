"""The service as a process under load: what it logs is read all the while,
or the pipe would fill and the service stand still."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

SERVER = [sys.executable, "-c", "from src import server; server()"]


@dataclass(frozen=True)
class Served:
    """A running service: where it answers, and what it has logged so far."""

    url: str
    log: list[str]


@contextmanager
def served(environment: dict[str, str], folder: Path) -> Iterator[Served]:
    """A service of its own, from when it listens; killed at the end."""
    with subprocess.Popen(
        SERVER,
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        log: list[str] = []
        try:
            for line in process.stdout:
                log.append(line)
                if found := re.search(r"running on (http://[\w.:]+)", line):
                    break
            else:
                raise AssertionError("the server has ended:\n" + "".join(log))
            reader = Thread(target=log.extend, args=(process.stdout,))
            reader.start()
            yield Served(found[1], log)
        finally:
            process.kill()
        reader.join()
