"""When a revision under a part of the traffic counts as worse than those beside it."""

import pytest

from infra.release.watch import Answers, worse


@pytest.mark.parametrize(
    ("new", "old", "latency", "said"),
    [
        # Failures: at least three, and clearly more than the others'.
        (Answers(10, 3), Answers(100, 0), False, "3 of 10 requests failed with 5xx"),
        (Answers(10, 2), Answers(100, 0), False, ""),
        (Answers(1000, 3), Answers(1000, 0), False, ""),
        (Answers(1000, 11), Answers(1000, 0), False, "11 of 1000 requests failed"),
        # What both answer badly is not the new one's fault.
        (Answers(10, 5), Answers(100, 50), False, ""),
        (Answers(100, 60), Answers(100, 29), False, "of the others 29 of 100"),
        (Answers(100, 60), Answers(100, 30), False, ""),
        # Nobody to compare with.
        (Answers(10, 10), Answers(), False, "10 of 10"),
        (Answers(), Answers(), True, ""),
        # Latency: at the end, and of enough requests.
        (Answers(20, 0, 0.31), Answers(20, 0, 0.1), True, "up to 310 ms, and of the others up to"),
        (Answers(20, 0, 0.31), Answers(20, 0, 0.1), False, ""),
        (Answers(20, 0, 0.29), Answers(20, 0, 0.1), True, ""),
        (Answers(19, 0, 9.0), Answers(20, 0, 0.1), True, ""),
        (Answers(20, 0, 9.0), Answers(19, 0, 0.1), True, ""),
    ],
)
def test_worse(new: Answers, old: Answers, latency: bool, said: str) -> None:
    found = worse(new, old, latency=latency)
    assert said in found
    assert bool(found) is bool(said)


def entry(status: int, latency: str) -> dict[str, object]:
    """An entry of the request log."""
    return {"httpRequest": {"status": status, "latency": latency}}


def test_answers_are_counted_from_the_log() -> None:
    entries = [entry(200, f"0.0{number}s") for number in range(10, 20)]
    found = Answers.of([*entries, entry(500, "1s"), entry(404, "0.5s"), {"textPayload": "a line"}])
    assert (found.count, found.failed) == (12, 1)
    assert found.ratio == pytest.approx(1 / 12)
    # Nine of ten of 0.010 … 0.019, 0.5 and 1.
    assert found.p90 == pytest.approx(0.019 + 0.9 * (0.5 - 0.019))
    assert str(Answers.of(entries)) == "10 requests, 0 failed, p90 18 ms"


@pytest.mark.parametrize("entries", [[], [{}], [{"httpRequest": None}]])
def test_no_request_is_no_answer(entries: list[dict[str, object]]) -> None:
    assert Answers.of(entries) == Answers()
    assert str(Answers()) == "no request"


@pytest.mark.parametrize("latency", [None, "", "soon"])
def test_a_request_without_a_latency_counts(latency: str | None) -> None:
    found = Answers.of([{"httpRequest": {"status": 503, "latency": latency}}])
    assert found == Answers(1, 1, 0.0)
