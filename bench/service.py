"""The generated service against FastAPI's limit and against SQLModel as people write it.

    uv run python bench/service.py [--rounds 5] [--seconds 5] [ROW …]

Rows: get (by id), page (100 of 10,000 with the total), insert, health, start, memory, workers. All
of them run when none is named. Besides: `--flat` samples the memory over 10 minutes, `--also
FOLDER` lets another generated service (with its .venv) run as well, for before and after, and
`--skip WORD` leaves out who has it in the name.

The bench generates the service, installs what its image has, and migrates and fills one
PostgreSQL. The contestants (bench/contestants/service/) have the same table, endpoints, answers to
the byte (checked at the start), virtual environment, uvicorn and size of pool. In each round all
are started and warmed, and then measured in turn: noise falls on all. Figures are medians of the
rounds, and a ratio the median of their ratios. A measurement is long enough for its first moment,
when 32 connections come at once, to be less than one in a hundred requests.

The server has a core of its own; PostgreSQL, and the load of 32 connections, have the others. The
load is wrk's where it is installed, else bench/load.py's. An answer that is not 2xx ends the
bench. The service runs as in an environment on Google Cloud: tracing at its default sampling,
though a span has nowhere to go, and a JSON line for each request, to /dev/null.

Prints the ratios, then the medians they are made of, as Markdown. On a machine that does other work
too, requests/s and p99 say little and CPU per request remains; "by CPU" is the ratio of those.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

from servers import Running, StartError, running
from stage import Contestant, Cores, Stage, pinned, set_up
from tables import ASYNC, LIMIT, OURS, SYNC, Sample, print_table, ratios, raw

HERE = Path(__file__).parent
CONNECTIONS = 32
ENDPOINTS = ("get", "page", "insert", "health")
ROWS = (*ENDPOINTS, "start", "memory", "workers")
WARM_SECONDS = 1.0
MEMORY_SECONDS, FLAT_SECONDS, SAMPLE_SECONDS = 60.0, 600.0, 5.0


@dataclass
class Bench:
    """What is measured, and what was found: of each contestant, by its name."""

    stage: Stage
    cores: Cores
    seconds: float
    traffic: dict[str, str]
    loads: int = 0
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=lambda: defaultdict(list))
    starts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    memory: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def round(self, every: Sequence[Contestant], endpoints: Sequence[str]) -> None:
        """Starts all contestants, then measures one endpoint after the other."""
        with ExitStack() as stack:
            servers = [stack.enter_context(running(each, self.cores)) for each in every]
            for server in servers:
                self.starts[server.contestant.name].append(server.started)
            for endpoint in endpoints:
                for server in servers:
                    self.load(server, endpoint, WARM_SECONDS)
                for server in servers:
                    sample = self.load(server, endpoint, self.seconds)
                    self.samples[server.contestant.name, endpoint].append(sample)

    def load(self, server: Running, endpoint: str, seconds: float) -> Sample:
        """Requests for some seconds, and what they took. Exits at an answer that is not 2xx."""
        traffic = self.stage.folder / f"{endpoint}.txt"
        self.loads += 1
        traffic.write_text(self.traffic[endpoint].replace("{run}", str(self.loads)))
        used = server.cpu()
        with pinned(self.cores.others):
            done = subprocess.run(
                generator(server.port, traffic, seconds),
                capture_output=True,
                text=True,
                check=False,
            )
        used = server.cpu() - used
        found = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"errors": 1}
        if done.returncode or found.pop("errors", 0):
            name = server.contestant.name
            sys.exit(f"{name} failed at {endpoint}:\n{done.stdout}{done.stderr}")
        if endpoint == "insert":
            self.stage.tidy()
        requests = found["requests"]
        return Sample(
            requests / found["seconds"], found["p50"], found["p99"], 1e6 * used / requests
        )

    def check(self, contestants: list[Contestant]) -> None:
        """Exits unless all answer with the same bytes."""
        requests = [
            *self.traffic["get"].splitlines()[:3],
            *self.traffic["page"].splitlines(),
            self.traffic["insert"],
            self.traffic["health"],
        ]
        expected: list[bytes] = []
        for contestant in contestants:
            with running(contestant, self.cores) as server:
                answers = [server.answer(request) for request in requests]
            self.stage.tidy()
            expected = expected or answers
            for request, ours, theirs in zip(requests, expected, answers, strict=True):
                if ours != theirs:
                    sys.exit(f"{contestant.name} answers {request} with {theirs!r}, not {ours!r}")

    def mixed(self, contestant: Contestant, seconds: float) -> Iterator[float]:
        """Resident memory in MiB under load of every kind, sampled every few seconds."""
        with running(contestant, self.cores) as server:
            began = perf_counter()
            while perf_counter() - began < seconds:
                for endpoint in ENDPOINTS[:3]:
                    self.load(server, endpoint, SAMPLE_SECONDS)
                    yield server.mebibytes()

    def workers(self, contestant: Contestant) -> str:
        """Two workers against one, in a sentence."""
        found = []
        cores = Cores.share(workers=2)
        for count in (1, 2):
            serving = frozenset(sorted(cores.serving)[:1]) if count == 1 else cores.serving
            self.cores = Cores(serving, cores.others)
            try:
                with running(contestant, self.cores, SERVER__WORKERS=str(count)) as server:
                    self.load(server, "get", WARM_SECONDS)
                    found.append(self.load(server, "get", self.seconds))
            except StartError as error:
                return f"Two workers: not measured. {error}"
        one, two = found
        note = ""
        if cores.serving == cores.others:
            note = f" With {len(cores.serving)} cores, where four are needed, only the CPU counts."
        return (
            f"Two workers: {two.rate:,.0f} requests/s, {two.rate / one.rate:.2f} of one's "
            f"{one.rate:,.0f} (aim: 1.8); CPU {two.cpu:.0f} µs against {one.cpu:.0f} µs a request."
            f"{note}"
        )


def generator(port: int, traffic: Path, seconds: float) -> list[str]:
    """The command that loads."""
    connections = str(CONNECTIONS)
    if wrk := shutil.which("wrk"):
        options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
        script = ["-s", str(HERE / "load.lua")]
        return [wrk, *options, *script, f"http://127.0.0.1:{port}", "--", str(traffic)]
    options = ["--port", str(port), "--seconds", str(seconds), "--connections", connections]
    return [sys.executable, str(HERE / "load.py"), *options, str(traffic)]


def contestants(stage: Stage, also: list[str], skip: list[str]) -> list[Contestant]:
    """Who runs, ours first."""
    others = [stage.generated(folder, Path(folder).resolve()) for folder in also]
    every = [
        stage.generated(OURS, stage.service),
        *others,
        stage.written(LIMIT, "limit"),
        stage.written(ASYNC, "async_sqlmodel"),
        stage.written(SYNC, "sync_sqlmodel"),
    ]
    return [each for each in every if not any(word in each.name for word in skip)]


def report(bench: Bench, rounds: int) -> None:
    """Prints what was found."""
    load = "wrk" if shutil.which("wrk") else "bench/load.py"
    busy = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load average {busy}; "
        f"{rounds} rounds of {bench.seconds:g} s, {CONNECTIONS} connections by {load}, "
        f"pools of {bench.stage.pool}.\n"
    )
    memory = {name: [found[-1]] for name, found in bench.memory.items()}
    print_table(ratios(bench.samples, bench.starts, memory))
    print()
    print_table(raw(bench.samples, bench.starts, memory))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--flat", action="store_true", help="memory over 10 minutes")
    parser.add_argument("--also", action="append", default=[], metavar="FOLDER")
    parser.add_argument("--skip", action="append", default=[], metavar="WORD")
    given = parser.parse_args()
    for unknown in set(given.rows) - set(ROWS):
        parser.error(f"there is no row {unknown!r}: {', '.join(ROWS)}")
    rows: Sequence[str] = given.rows or ([] if given.flat else ROWS)
    cores = Cores.share()
    with set_up(cores) as stage:
        bench = Bench(stage, cores, given.seconds, stage.traffic())
        every = contestants(stage, given.also, given.skip)
        try:
            bench.check(every)
            measure(bench, every, rows, given.rounds)
            report(bench, given.rounds)
            if "workers" in rows:
                print(f"\n{bench.workers(every[0])}", flush=True)
            if given.flat:
                print(f"\n{flat(list(bench.mixed(every[0], FLAT_SECONDS)))}")
        except StartError as error:
            sys.exit(str(error))


def measure(bench: Bench, every: list[Contestant], rows: Sequence[str], rounds: int) -> None:
    """Round after round, all contestants."""
    endpoints = [row for row in ENDPOINTS if row in rows]
    if endpoints or "start" in rows:
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            first = number % len(every)
            bench.round([*every[first:], *every[:first]], endpoints)
    if "memory" in rows:
        for contestant in every:
            print(f"the memory of {contestant.name}", file=sys.stderr)
            bench.memory[contestant.name] += bench.mixed(contestant, MEMORY_SECONDS)


def flat(sampled: list[float]) -> str:
    """Whether the memory stays what it is, in a sentence."""
    half = sampled[len(sampled) // 2 :]
    quarter = len(half) // 2
    before, after = median(half[:quarter]), median(half[quarter:])
    return (
        f"Memory over {FLAT_SECONDS / 60:.0f} minutes of load: {sampled[0]:.1f} MiB at first, "
        f"{sampled[len(sampled) // 2]:.1f} at half, {sampled[-1]:.1f} at the end, at most "
        f"{max(sampled):.1f}; in the second half it grew by {after - before:.1f} MiB."
    )


if __name__ == "__main__":
    main()
