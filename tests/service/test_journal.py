"""What the kill test takes for a lost write, and what not."""

import pytest

from tests.service.journal import Content, Journal, Row

BEFORE, AFTER = "1 before", "2 after"


def row(journal: Journal, sure: Content, *unknown: Content) -> Row:
    """A row that says so, and perhaps something else."""
    found = journal.new("a")
    found.acknowledged(sure)
    for content in unknown:
        found.in_doubt(content)
    return found


@pytest.mark.parametrize("content", [BEFORE, None])
def test_an_acknowledged_write_has_to_be_there(content: Content) -> None:
    journal = Journal()
    row(journal, AFTER)
    journal.compare({} if content is None else {"a": content})
    found = "nothing" if content is None else "'1'"
    assert journal.told == [f"1 x {found} was found for a, which should be '2'"]


def test_a_deleted_row_has_to_be_gone() -> None:
    journal = Journal()
    row(journal, None)
    journal.compare({"a": BEFORE})
    assert journal.told == ["1 x '1' was found for a, which should be nothing"]


def test_a_row_that_nobody_wrote_is_a_fault() -> None:
    journal = Journal()
    journal.compare({"b": BEFORE})
    assert journal.told == ["1 x b was found, which nobody wrote"]


@pytest.mark.parametrize(("sure", "unknown"), [(None, AFTER), (BEFORE, AFTER), (BEFORE, None)])
def test_a_write_without_an_answer_may_be_there_or_not_until_it_was_seen(
    sure: Content, unknown: Content
) -> None:
    journal = Journal()
    written = row(journal, sure, unknown)
    assert not written.usable
    journal.saw(written, sure)
    journal.saw(written, unknown)
    assert not journal.faults
    assert written.usable is (unknown is not None)
    journal.saw(written, sure)
    assert len(journal.faults) == 1
