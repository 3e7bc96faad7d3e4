"""No test is lost or doubled by the order, and each worker has its part of the long ones first."""

import pytest

from tests.order import dealt


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize(("long", "others"), [(0, 0), (0, 5), (7, 0), (7, 100), (3, 4), (9, 2)])
def test_all_are_dealt_once(workers: int, long: int, others: int) -> None:
    slow, quick = [f"long {each}" for each in range(long)], [str(each) for each in range(others)]
    found = dealt(slow, quick, workers)
    assert sorted(found) == sorted([*slow, *quick])
    assert [each for each in found if each in quick] == quick


def test_each_worker_begins_with_long_ones() -> None:
    found = dealt(["A", "B", "C", "D"], [*"abcdefgh"], 3)
    assert found == ["A", "D", "a", "b", "B", "c", "d", "e", "C", "f", "g", "h"]
