"""`invoke provision` against what teams use instead, on the emulator at 100 ms a call.

    uv run python bench/provision.py [--rounds 5] [--services 100] [ROW …]

Prints a table of ratios, each of medians of interleaved rounds in this one run. Rows: gcloud,
ansible, floor, first, services. gcloud is left out where it is not installed; Ansible is installed
into a folder of its own, which is removed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from urllib.request import Request, urlopen

from commands import Command, Run, rounds, run

from infra.environment import load
from infra.resources.apis import APIS
from infra.stack import stack
from infra.tasks.local_cloud import exports, scratch_cloud

REPOSITORY = Path(__file__).parents[1]
CONTESTANTS = REPOSITORY / "bench" / "contestants"
MANIFEST = REPOSITORY / "{{cookiecutter.service}}" / "ci" / "cloud-run.yaml"
PROJECT, REGION, SERVICE, ENV = "acme-bench", "europe-west1", "orders", "stg"
LATENCY_MS = 100
# A plan's reads do not wait for one another.
ROUND_TRIPS = 1
# Seconds that operations take in the first run: a fifth of Google's order of magnitude.
DURATIONS = {
    "*BatchEnableServices": 4.0,
    "*ArtifactRegistry.CreateRepository": 2.0,
    "*SqlInstancesService.Insert": 60.0,
    "*SqlDatabasesService.Insert": 1.0,
    "*SqlUsersService.Insert": 1.0,
    "*Services.CreateService": 3.0,
    "*Jobs.CreateJob": 1.0,
}


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, against what, and the ratio of both."""

    what: str
    against: str
    ours: str
    theirs: str
    ratio: float
    limit: float


@dataclass(frozen=True)
class Bench:
    """An emulator, and services to provision on it."""

    host: str
    folder: Path
    count: int

    def ask(self, verb: str, path: str, body: object) -> None:
        """Sets something about the emulator itself."""
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(f"http://{self.host}{path}", data, headers, method=verb)
        with urlopen(request) as answer:  # noqa: S310
            answer.read()

    def service(self, name: str, project: str) -> Path:
        """The folder of a service, with its manifest and its environment."""
        folder = self.folder / project / name
        (folder / "ci").mkdir(parents=True)
        (folder / "environments").mkdir()
        shutil.copy(MANIFEST, folder / "ci")
        (folder / "pyproject.toml").touch()
        (folder / "tasks.py").write_text("from infra.tasks import namespace as namespace\n")
        text = f"project: {project}\nregion: {REGION}\nservice:\n  name: {name}\n"
        (folder / "environments" / f"{ENV}.yaml").write_text(text)
        return folder

    def provision(self, name: str, folder: Path, *more: str) -> Command:
        """The command that is measured."""
        words = [sys.executable, "-m", "invoke", "provision", "--env", ENV, "--no-cost", *more]
        return Command(name, words, folder, {"CLOUD_EMULATOR_HOST": self.host})

    def settled(self, name: str = SERVICE, project: str = PROJECT) -> Path:
        """The folder of a service for which there is nothing to do."""
        folder = self.folder / project / name
        if not folder.exists():
            self.ask("PUT", "/emulator/latency", {"milliseconds": 0})
            run(self.provision("provision", self.service(name, project)))
            self.ask("PUT", "/emulator/latency", {"milliseconds": LATENCY_MS})
        return folder


def gcloud(bench: Bench, count: int) -> list[Row]:
    """Against a script of gcloud commands that read the same."""
    if not shutil.which("gcloud"):
        print("gcloud is not installed: its row is left out", file=sys.stderr)
        return []
    ours = bench.provision("ours", bench.settled())
    script = [str(CONTESTANTS / "reads.sh"), PROJECT, REGION, SERVICE]
    theirs = Command("gcloud", ["sh", *script], bench.folder, exports(bench.host, PROJECT))
    return [compare("nothing to do", "gcloud reads in a script", ours, theirs, count, 0.1)]


def ansible(bench: Bench, count: int) -> list[Row]:
    """Against a playbook of google.cloud modules."""
    ours = bench.provision("ours", bench.settled())
    with playbook() as program:
        given = {"project": PROJECT, "service": SERVICE, "region": REGION, "apis": list(APIS)}
        words = [program, "-e", json.dumps(given), str(CONTESTANTS / "playbook.yaml")]
        variables = {"BENCH_EMULATOR": bench.host, "PYTHONPATH": str(CONTESTANTS)}
        theirs = Command("ansible", words, bench.folder, variables)
        if "changed=0" not in run(theirs).output:
            sys.exit("the playbook found something to do")
        return [compare("nothing to do", "ansible-playbook", ours, theirs, count, 0.1)]


@contextmanager
def playbook() -> Iterator[str]:
    """`ansible-playbook`, installed for as long as it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        uv = os.environ.get("UV", "uv")
        python = f"{folder}/bin/python"
        packages = ["ansible", "google-auth", "requests"]
        for words in (
            ["venv", "-q", "--python", sys.executable, folder],
            ["pip", "install", "-q", "--python", python, *packages],
        ):
            subprocess.run([uv, *words], check=True)
        yield f"{folder}/bin/ansible-playbook"


def floor(bench: Bench, count: int) -> list[Row]:
    """Against what no plan can do without."""
    ours = bench.provision("ours", bench.settled())
    url = f"http://{bench.host}/iam/v1/projects/{PROJECT}/serviceAccounts"
    words = [sys.executable, str(CONTESTANTS / "floor.py"), str(ROUND_TRIPS), url]
    theirs = Command("floor", words, REPOSITORY, {"PYTHONPATH": str(REPOSITORY)})
    return [compare("nothing to do", "Python, imports, round trips", ours, theirs, count, 1.3)]


def first(bench: Bench, count: int) -> list[Row]:
    """The first run against the critical path of its graph."""
    bench.ask("PUT", "/emulator/durations", DURATIONS)
    walls, paths = [], []
    for number in range(count):
        project = f"{PROJECT}-first-{number}"
        folder = bench.service(SERVICE, project)
        measured = run(bench.provision("ours", folder, "--json"))
        walls.append(measured.seconds)
        paths.append(critical_path(folder, measured))
    bench.ask("PUT", "/emulator/durations", {})
    wall, path = median(walls), median(paths)
    return [row("first run", "critical path of the graph", wall, path, 1.05)]


def critical_path(folder: Path, measured: Run) -> float:
    """Seconds of the longest way through the graph, each resource taking what it took."""
    events = [json.loads(line) for line in measured.output.splitlines()]
    seconds = {
        f"{each['kind']} {each['name']}": float(each["seconds"])
        for each in events
        if each["event"] == "finished"
    }
    needs = {
        each.key: [need.key for need in each.needs] for each in stack(load(folder, ENV), folder)
    }

    @cache
    def longest(key: str) -> float:
        return seconds.get(key, 0) + max(map(longest, needs[key]), default=0)

    return max(map(longest, needs))


def services(bench: Bench, count: int) -> list[Row]:
    """Many services in a project against one, in time and in memory."""
    project = f"{PROJECT}-many"
    folder = bench.folder / project
    bench.ask("PUT", "/emulator/latency", {"milliseconds": 0})
    for number in range(bench.count):
        bench.service(f"service-{number:03}", project)
    shutil.copy(folder / "service-000" / "tasks.py", folder)
    many = bench.provision("many", folder, "--service", "*")
    run(many)
    bench.ask("PUT", "/emulator/latency", {"milliseconds": LATENCY_MS})
    one = bench.provision("one", folder, "--service", "service-000")
    found = rounds([many, one], count)
    name = f"{bench.count} services"
    return [
        row(f"nothing to do, {name}", "1 service", found["many"].seconds, found["one"].seconds, 3),
        Row(
            f"peak memory, {name}",
            "1 service",
            f"{found['many'].mebibytes:.0f} MiB",
            f"{found['one'].mebibytes:.0f} MiB",
            found["many"].mebibytes / found["one"].mebibytes,
            2,
        ),
    ]


def compare(  # noqa: PLR0913, PLR0917
    what: str, against: str, ours: Command, theirs: Command, count: int, limit: float
) -> Row:
    """A line of two commands."""
    found = rounds([ours, theirs], count)
    if "changed=0" not in found[ours.name].output:
        sys.exit(f"there was something to do:\n{found[ours.name].output}")
    return row(what, against, found[ours.name].seconds, found[theirs.name].seconds, limit)


def row(what: str, against: str, ours: float, theirs: float, limit: float) -> Row:
    """A line of two times."""
    return Row(what, against, f"{ours:.2f} s", f"{theirs:.2f} s", ours / theirs, limit)


ROWS: dict[str, Callable[[Bench, int], list[Row]]] = {
    "gcloud": gcloud,
    "ansible": ansible,
    "floor": floor,
    "first": first,
    "services": services,
}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--services", type=int, default=100)
    options = parser.parse_args()
    for unknown in set(options.rows) - set(ROWS):
        parser.error(f"there is no row {unknown!r}: {', '.join(ROWS)}")
    os.environ["CLOUD_EMULATOR_HOLLOW"] = "1"
    print("| what | compared with | ours | theirs | ratio | at most |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, scratch_cloud(Path(folder, "state")) as cloud:
        bench = Bench(cloud.host, Path(folder), options.services)
        bench.ask("PUT", "/emulator/latency", {"milliseconds": LATENCY_MS})
        for name in options.rows or ROWS:
            for each in ROWS[name](bench, options.rounds):
                print(
                    f"| {each.what} | {each.against} | {each.ours} | {each.theirs} "
                    f"| {each.ratio:.2f} | {each.limit:g} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
