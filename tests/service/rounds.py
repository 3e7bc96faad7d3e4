"""`--rounds` of the kill test, and the summary of what its rounds met.

    uv run pytest tests/service/test_kills.py --rounds 200
    uv run pytest tests/service/test_kills.py --seed 137

Loaded by tests/conftest.py: an option has to be known before tests are collected.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import pytest

from tests.infra.seeds import words
from tests.summary import Summary

SLICE = 12
"""One round of each kind."""
FEW, MANY = 10, 100
"""Rounds after which requests must have failed, and after which in those of each kind."""
PROPERTY = "kills"


@dataclass
class Tally:
    """What rounds met."""

    rounds: Counter[str] = field(default_factory=Counter)
    """By kind."""
    troubled: Counter[str] = field(default_factory=Counter)
    """Those in which at least one request failed, by kind."""
    answers: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)
    """Seconds of the slowest request, by kind."""

    def to_json(self) -> str:
        """It as text."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` gave."""
        given = json.loads(text)
        slowest = given.pop("slowest")
        return cls(**{key: Counter(each) for key, each in given.items()}, slowest=slowest)

    def add(self, other: "Tally") -> None:
        """Adds another's."""
        for name, counts in vars(other).items():
            if isinstance(counts, Counter):
                getattr(self, name).update(counts)
        for kind, seconds in other.slowest.items():
            self.slowest[kind] = max(seconds, self.slowest.get(kind, 0.0))

    def lines(self) -> list[str]:
        """It for people."""
        if not self.rounds:
            return []
        slowest = ", ".join(f"{kind}: {s:.1f} s" for kind, s in sorted(self.slowest.items()))
        return [
            f"{self.rounds.total()} rounds survived: {words(self.rounds)}",
            f"in which requests failed: {words(self.troubled)}",
            f"requests: {words(self.answers)}",
            f"writes: {words(self.writes)}",
            f"restarts: {words(self.restarts)}",
            f"slowest request: {slowest}",
        ]

    @property
    def blindness(self) -> str:
        """What makes the rounds say less than they seem to, "" for nothing."""
        if self.rounds.total() < FEW:
            return ""
        if self.troubled.total() * 2 < self.rounds.total():
            return "most rounds disturbed nobody"
        calm = sorted(self.rounds.keys() - self.troubled.keys())
        many = self.rounds.total() >= MANY
        return f"these disturbed nobody: {', '.join(calm)}" if calm and many else ""


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """The option, and who sums up what the rounds met."""
    pluginmanager.register(Summary("kills", PROPERTY, Tally), "kills")
    group = parser.getgroup("kills")
    group.addoption("--rounds", type=int, default=SLICE, help="how many rounds are run")


def chosen(config: pytest.Config) -> Iterable[int]:
    """The seeds that the options ask for."""
    one: int | None = config.getoption("--seed")
    many: int = config.getoption("--rounds")
    return range(many) if one is None else [one]
