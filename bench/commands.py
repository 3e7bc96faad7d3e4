"""Commands that are measured: the seconds one takes, and the memory it holds at most."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from time import perf_counter


@dataclass(frozen=True)
class Command:
    """What is run, where, and with which variables besides this process's."""

    name: str
    words: Sequence[str]
    folder: Path
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """One run: wall time in seconds, resident memory at its peak in MiB, and what it printed."""

    seconds: float
    mebibytes: float
    output: str


def run(command: Command) -> Run:
    """Runs a command to its end. Exits with what it printed when it fails."""
    with TemporaryFile() as output:
        started = perf_counter()
        process = subprocess.Popen(
            command.words,
            cwd=command.folder,
            env={**os.environ, **command.variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if process.returncode:
        sys.exit(f"{command.name} failed with {process.returncode}:\n{text}")
    return Run(seconds, usage.ru_maxrss / 1024, text)


def rounds(commands: Sequence[Command], count: int) -> dict[str, Run]:
    """The median run of each command, by its name: one after another, again and again.

    A first round, which fills caches, is not counted.
    """
    runs: dict[str, list[Run]] = {each.name: [] for each in commands}
    for number in range(count + 1):
        for command in commands:
            measured = run(command)
            if number:
                runs[command.name].append(measured)
    return {name: middle(found) for name, found in runs.items()}


def middle(runs: Sequence[Run]) -> Run:
    """A run with the medians of several."""
    return Run(
        median(each.seconds for each in runs),
        median(each.mebibytes for each in runs),
        runs[-1].output,
    )
