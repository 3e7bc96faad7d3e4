"""The tables of bench/service.py: its figures against the aims, and the figures themselves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

OURS, LIMIT, ASYNC, SYNC = "ours", "limit", "async SQLModel", "sync SQLModel"
NAMES = {
    "get": "get by id",
    "page": "page of 100 with total",
    "insert": "insert",
    "health": "health",
}
# What requests/s are to be at least, as a multiple of a contestant's.
AIMS = (
    ("get", ASYNC, 3.0),
    ("get", LIMIT, 0.6),
    ("page", LIMIT, 0.8),
    ("insert", ASYNC, 2.5),
    ("insert", LIMIT, 0.55),
    ("health", LIMIT, 0.7),
)
# What p99, start and memory are to be at most, as a multiple of the limit's.
P99, START, MEMORY = 2.0, 1.3, 1.4

type Line = tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """Requests a second, milliseconds of p50 and p99, and µs of CPU that a request takes."""

    rate: float
    p50: float
    p99: float
    cpu: float

    @classmethod
    def median(cls, samples: Sequence["Sample"]) -> "Sample":
        """The medians of several."""
        names = ("rate", "p50", "p99", "cpu")
        return cls(*(median(getattr(each, name) for each in samples) for name in names))


type Samples = Mapping[tuple[str, str], Sequence[Sample]]
type Figures = Mapping[str, Sequence[float]]


def ratios(samples: Samples, starts: Figures, memory: Figures) -> Iterator[Line]:
    """A line for each aim that was measured, and for each service that ran besides."""
    yield ("", "compared with", "ours", "theirs", "ratio", "aim", "by CPU", "reached")
    known = {against for _, against, _ in AIMS} | {OURS, SYNC}
    also = [(endpoint, name, 0.0) for name in starts if name not in known for endpoint in NAMES]
    for endpoint, against, aim in (*AIMS, *also):
        ours, theirs = samples.get((OURS, endpoint)), samples.get((against, endpoint))
        if ours and theirs:
            ratio = compare([each.rate for each in ours], [each.rate for each in theirs])
            by_cpu = compare([each.cpu for each in theirs], [each.cpu for each in ours])
            yield (
                NAMES[endpoint],
                against,
                f"{Sample.median(ours).rate:,.0f}/s",
                f"{Sample.median(theirs).rate:,.0f}/s",
                f"{ratio:.2f}",
                f"at least {aim:g}" if aim else "",
                f"{by_cpu:.2f}",
                said(ratio >= aim) if aim else "",
            )
    for endpoint, name in NAMES.items():
        ours, theirs = samples.get((OURS, endpoint)), samples.get((LIMIT, endpoint))
        if ours and theirs:
            latencies = ([each.p99 for each in ours], [each.p99 for each in theirs])
            yield at_most(f"p99, {name}", *latencies, P99, "{:.1f} ms")
    if OURS in starts and LIMIT in starts:
        name = "start, exec to the first 200"
        yield at_most(name, starts[OURS], starts[LIMIT], START, "{:.2f} s")
    if OURS in memory and LIMIT in memory:
        yield at_most("memory", memory[OURS], memory[LIMIT], MEMORY, "{:.0f} MiB")


def compare(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: what slows the machine in a round slows both."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def at_most(
    name: str, ours: Sequence[float], theirs: Sequence[float], aim: float, unit: str
) -> Line:
    """A line of what is to be small."""
    ratio = compare(ours, theirs)
    figures = (unit.format(median(ours)), unit.format(median(theirs)), f"{ratio:.2f}")
    return (name, LIMIT, *figures, f"at most {aim:g}", "", said(ratio <= aim))


def said(reached: bool) -> str:
    """In a word."""
    return "yes" if reached else "no"


def raw(samples: Samples, starts: Figures, memory: Figures) -> Iterator[Line]:
    """A line for each contestant and endpoint, then one for each start and memory."""
    yield ("", "", "requests/s", "p50", "p99", "CPU a request")
    for endpoint, name in NAMES.items():
        for contestant in starts:
            if rounds := samples.get((contestant, endpoint)):
                found = Sample.median(rounds)
                latencies = (f"{found.p50:.1f} ms", f"{found.p99:.1f} ms")
                yield (name, contestant, f"{found.rate:,.0f}", *latencies, f"{found.cpu:.0f} µs")
    for contestant, seconds in starts.items():
        yield ("start", contestant, f"{median(seconds):.2f} s", "", "", "")
    for contestant, mebibytes in memory.items():
        yield ("memory", contestant, f"{median(mebibytes):.0f} MiB", "", "", "")


def print_table(lines: Iterable[Line]) -> None:
    """As Markdown; the first line is the head."""
    for number, line in enumerate(lines):
        print("|", " | ".join(line), "|")
        if not number:
            print("|" + "---|" * len(line))
