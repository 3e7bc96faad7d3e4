"""What a service remembers of its releases, and where a rollback goes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from infra.release import ReleaseError
from infra.release.history import Release
from infra.release.memory import ROLLOUT, SERVED, Memory, Rollout
from infra.release.record import Record
from infra.release.rollback import choose

SPLIT = (("s-1", 90), ("s-2", 10))
OTHERS = {"team": "orders", "cookiecutter-cloudrun/attempt": "1"}


@pytest.mark.parametrize(
    "memory",
    [
        Memory(),
        Memory(served=("s-2", "s-1")),
        Memory(Rollout("s-3", SPLIT, (("s-3", 10), ("s-1", 90))), ("s-2",)),
        Memory(Rollout("s-3", (), ())),
    ],
)
def test_it_reads_back_as_it_was_written_and_others_stay(memory: Memory) -> None:
    written = memory.annotations({**OTHERS, ROLLOUT: "old", SERVED: "old"})
    assert Memory.read(written) == memory
    assert {key: written[key] for key in OTHERS} == OTHERS
    assert set(written) - set(OTHERS) <= {ROLLOUT, SERVED}


@pytest.mark.parametrize(
    "annotations",
    [
        {ROLLOUT: "{", SERVED: "["},
        {ROLLOUT: "[]", SERVED: "{}"},
        {ROLLOUT: '{"candidate": 1, "serving": {}}', SERVED: "7"},
        {ROLLOUT: '{"candidate": "s-1", "serving": {}}', SERVED: "[7]"},
        {},
    ],
)
def test_what_somebody_spoilt_is_forgotten(annotations: dict[str, str]) -> None:
    assert Memory.read(annotations) == Memory()


def test_who_comes_back_gives_up_what_came_after_it() -> None:
    memory = Memory()
    for revision in ("s-1", "s-2", "s-3"):
        memory = memory.begun(revision, SPLIT, SPLIT).won(revision)
    assert memory == Memory(None, ("s-3", "s-2", "s-1"))
    assert memory.won("s-2").served == ("s-2", "s-1")
    assert memory.won("s-2").won("s-4").served == ("s-4", "s-2", "s-1")


def test_the_memory_is_bounded() -> None:
    memory = Memory()
    for number in range(300):
        memory = memory.won(f"s-{number}")
    assert len(memory.served) == 20
    assert memory.served[0] == "s-299"


def release(revision: str, percent: int = 0, *, is_ready: bool = True) -> Release:
    """A release, with so much of the traffic."""
    return Release(revision, "2026-03-01 12:30", "image", Record(), percent, is_ready)


FAILED = release("s-4", is_ready=False)
RELEASES = [FAILED, release("s-3", 100), release("given-up"), release("s-2"), release("s-1")]


@pytest.mark.parametrize(
    ("served", "to", "found"),
    [
        (("s-3", "s-2", "s-1"), None, "s-2"),
        (("s-3", "s-1"), None, "s-1"),
        # No memory: the one before, by its time.
        ((), None, "given-up"),
        (("s-3", "s-2", "s-1"), "s-1", "s-1"),
        (("s-3", "s-2", "s-1"), "given-up", "given-up"),
    ],
)
def test_a_rollback_goes_to_what_served_before(
    served: Sequence[str], to: str | None, found: str
) -> None:
    assert choose(RELEASES, served, to, "stg").revision == found


@pytest.mark.parametrize(
    ("releases", "to", "said"),
    [
        ([], None, "nothing was released yet: invoke deploy --env stg"),
        ([RELEASES[1]], None, "there is no release before s-3 to go back to"),
        ([RELEASES[1], replace(FAILED, revision="s-0")], None, "there is no release before s-3"),
        (RELEASES, "s-9", "there is no release s-9; invoke releases --env stg lists them"),
        (RELEASES, "s-4", "s-4 never was healthy, and can't serve"),
        (RELEASES, "s-3", "s-3 has all the traffic already"),
    ],
)
def test_a_rollback_that_leads_nowhere_is_refused(
    releases: list[Release], to: str | None, said: str
) -> None:
    with pytest.raises(ReleaseError) as caught:
        choose(releases, (), to, "stg")
    assert said in str(caught.value)


def test_what_never_served_is_not_gone_back_to_by_itself() -> None:
    with pytest.raises(ReleaseError, match="no release before s-3"):
        choose(RELEASES, ("s-3", "gone"), None, "stg")
