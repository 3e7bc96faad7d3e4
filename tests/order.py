"""In which order the tests begin: the long ones first, so that no worker is left with one alone."""

import os
from collections.abc import Sequence

import pytest

LONG = "long"
WORKERS = "PYTEST_XDIST_WORKER_COUNT"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each worker its part of the long tests at once; the others stay in their order."""
    long = [each for each in items if each.get_closest_marker(LONG)]
    others = [each for each in items if not each.get_closest_marker(LONG)]
    items[:] = dealt(long, others, int(os.environ.get(WORKERS, "1")))


def dealt[T](long: Sequence[T], others: Sequence[T], workers: int) -> list[T]:
    """All of them, so that each worker's part begins with its long ones: xdist deals them out in
    parts of the same size, one after the other (`--dist worksteal`)."""
    result: list[T] = []
    total = len(long) + len(others)
    used = 0
    for worker in range(workers):
        size = (total - len(result)) // (workers - worker)
        first = long[worker::workers]
        more = max(size - len(first), 0)
        result += [*first, *others[used : used + more]]
        used += more
    return [*result, *others[used:]]
