"""Where the generated service spends the time of a request, by library.

    uv run python bench/service_profile.py [get | page | insert | health]

The service runs under cProfile, which makes everything slower, and small functions most: shares
say where to look, and not how long anything takes. Waiting is left out. Prints Markdown.
"""

import argparse
import pstats
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from signal import SIGINT

from load import load
from servers import PATIENCE, running
from stage import Cores, Stage, pinned, set_up

from infra.report import say

ENDPOINTS = ("get", "page", "insert", "health")
CONNECTIONS, SECONDS, LINES = 32, 10.0, 12
FILE = "profile.out"
PROFILED = f"""
import cProfile
from src import server
profile = cProfile.Profile()
try:
    profile.runcall(server)
except KeyboardInterrupt:
    pass
profile.dump_stats({FILE!r})
"""
KERNEL = re.compile(r"'(send|recv|poll|sendmsg)' of '(_socket|select)")
LIBRARY = re.compile(r"site-packages/(\w+)")
STANDARD = re.compile(r"python3\.\d+/(\w+)")


def profile(stage: Stage, cores: Cores, endpoint: str) -> pstats.Stats:
    """The profile of the service under load."""
    ours = stage.generated("ours", stage.service)
    profiled = replace(ours, words=(str(stage.python), "-c", PROFILED))
    with running(profiled, cores) as server, pinned(cores.others):
        traffic = stage.traffic()[endpoint].replace("{run}", "profile")
        load(("127.0.0.1", server.port), traffic, CONNECTIONS, SECONDS)
        server.process.send_signal(SIGINT)
        server.process.wait(PATIENCE)
    return pstats.Stats(str(stage.service / FILE))


def shares(stats: pstats.Stats, service: Path) -> dict[str, float]:
    """The part of the time that each library took itself, the largest first."""
    seconds = Counter[str]()
    profiled = vars(stats)["stats"]
    for (file, _, function), (_, _, itself, *_) in profiled.items():
        seconds[owner(file, function, service)] += itself
    total = seconds.total()
    return {name: itself / total for name, itself in seconds.most_common()}


def owner(file: str, function: str, service: Path) -> str:
    """Whose function it is."""
    if library := LIBRARY.search(file):
        return library[1]
    if file.startswith(str(service / "src")):
        return "the service's own code"
    if KERNEL.search(function):
        return "send, recv and poll"
    if standard := STANDARD.search(file):
        return f"Python's {standard[1]}"
    known = re.search(r"(pydantic_core|greenlet|asyncpg)", function)
    return known[1] if known else "Python itself, in C"


def main() -> None:
    """Profiles one endpoint."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("endpoint", nargs="?", choices=ENDPOINTS, default="insert")
    endpoint = parser.parse_args().endpoint
    cores = Cores.share()
    with set_up(cores) as stage:
        found = shares(profile(stage, cores, endpoint), stage.service)
    say(f"| {endpoint} | of the time |\n|---|---|")
    for name, share in list(found.items())[:LINES]:
        say(f"| {name} | {share:.1%} |")


if __name__ == "__main__":
    main()
