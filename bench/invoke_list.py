"""`invoke --list` against bare invoke: what loading the commands costs.

    uv run python bench/invoke_list.py

Prints the medians of interleaved runs and their ratio, and fails when something of Google's was
imported on the way.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

REPOSITORY = Path(__file__).parents[1]
ROUNDS = 15
BARE = "from invoke import task\n\n@task\ndef nothing(context):\n    pass\n"
COMMAND = [sys.executable, "-m", "invoke", "--list"]


def seconds(folder: Path) -> float:
    """How long one run takes in the folder."""
    started = perf_counter()
    subprocess.run(COMMAND, cwd=folder, check=True, capture_output=True)
    return perf_counter() - started


def imported() -> set[str]:
    """What of Google's loading the tasks imports."""
    code = "import sys, tasks; print(*(name for name in sys.modules if name.startswith('google')))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as bare:
        (Path(bare) / "tasks.py").write_text(BARE)
        folders = {"bare invoke": Path(bare), "this repository": REPOSITORY}
        for folder in folders.values():
            seconds(folder)
        times: dict[str, list[float]] = {name: [] for name in folders}
        for _ in range(ROUNDS):
            for name, folder in folders.items():
                times[name].append(seconds(folder))
    medians = {name: median(values) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:<16} {value * 1000:6.0f} ms")
    print(f"ratio            {medians['this repository'] / medians['bare invoke']:6.2f}")
    if names := imported():
        sys.exit(f"imported of Google's: {', '.join(sorted(names))}")


if __name__ == "__main__":
    main()
