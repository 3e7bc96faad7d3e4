"""What seeded tests met, summed over all workers, printed and judged at the end of a run.

Each test adds what it met to its report as JSON; tests/infra/seeds.py and tests/service/rounds.py
say what that is.
"""

from typing import Protocol, Self

import pytest


class Tally(Protocol):
    """What tests met."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What a test has added to its report."""

    def add(self, other: Self) -> None:
        """Adds another's."""

    def lines(self) -> list[str]:
        """It for people; none when nothing was met."""

    @property
    def blindness(self) -> str:
        """What makes the tests say less than they seem to, "" for nothing."""


class Summary[T: Tally]:
    """The end of a run of the tests. Fails tests that were not disturbed: they would pass whatever
    they test does."""

    def __init__(self, name: str, key: str, kind: type[T]) -> None:
        self.name = name
        self.key = key
        self.kind = kind

    def told(self, reporter: pytest.TerminalReporter) -> T:
        """What the tests of all workers met."""
        tally = self.kind()
        for report in reporter.getreports("passed"):
            for name, value in report.user_properties:
                if name == self.key and report.when == "call":
                    tally.add(self.kind.from_json(str(value)))
        return tally

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judges."""
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(reporter, pytest.TerminalReporter) and self.told(reporter).blindness:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints."""
        tally = self.told(terminalreporter)
        lines = tally.lines()
        if lines:
            terminalreporter.section(self.name)
        for line in lines:
            terminalreporter.line(line)
        if tally.blindness:
            terminalreporter.line(f"FAILED: {tally.blindness}", red=True)
