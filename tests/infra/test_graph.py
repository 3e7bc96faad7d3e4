"""The graph: in order, in parallel, and a failure stops only what needs it."""

from threading import Barrier, Event, Lock

import pytest

from infra.graph import reversed_needs, walk

DIAMOND = {"a": set[str](), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}}


def visits(needs: dict[str, set[str]], failing: str = "") -> tuple[list[str], dict[str, str]]:
    """What was visited, in order, and what was blocked by what."""
    seen, blocked, lock = list[str](), dict[str, str](), Lock()

    def visit(node: str) -> bool:
        with lock:
            seen.append(node)
        return node != failing

    walk(needs, visit, blocked.__setitem__, Event())
    return seen, blocked


def test_each_comes_after_what_it_needs() -> None:
    seen, _ = visits(DIAMOND)
    assert seen[0] == "a"
    assert seen[-1] == "d"
    assert sorted(seen) == ["a", "b", "c", "d"]


def test_a_failure_stops_only_what_needs_it() -> None:
    seen, blocked = visits({**DIAMOND, "e": {"d"}, "f": {"a"}}, failing="b")
    assert set(seen) == {"a", "b", "c", "f"}
    assert blocked == {"d": "b", "e": "b"}


def test_what_can_be_at_once_is() -> None:
    together = Barrier(2, timeout=10)

    def visit(node: str) -> bool:
        if node in {"b", "c"}:
            together.wait()
        return True

    walk(DIAMOND, visit, lambda node, because: None, Event())


def test_after_an_interrupt_nothing_is_started() -> None:
    stop, seen = Event(), list[str]()

    def visit(node: str) -> bool:
        seen.append(node)
        stop.set()
        return True

    walk(DIAMOND, visit, lambda node, because: None, stop)
    assert seen == ["a"]


def test_what_a_visit_raises_is_raised_when_all_are_done() -> None:
    def visit(node: str) -> bool:
        raise ValueError(node)

    with pytest.raises(ValueError, match="a"):
        walk(DIAMOND, visit, lambda node, because: None, Event())


def test_turned_round_each_comes_after_what_needs_it() -> None:
    assert reversed_needs(DIAMOND) == {"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}
