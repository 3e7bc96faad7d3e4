"""`--seeds` and `--seed` of the property test, and the summary of what its runs met.

    uv run pytest tests/infra/test_convergence_property.py --seeds 500
    uv run pytest tests/infra/test_convergence_property.py --seed 137

Loaded by tests/conftest.py: an option has to be known before tests are collected.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import pytest

from tests.summary import Summary

SLICE = 12
FEW, MANY = 10, 100
"""Seeds after which there must have been disturbances, and after which those of each kind."""
PROPERTY = "ordeal"

type Counts = dict[str, int]


@dataclass
class Tally:
    """What runs met: counts by word."""

    stories: Counter[str] = field(default_factory=Counter)
    reruns: Counter[str] = field(default_factory=Counter)
    """Seeds, by how many reruns they needed."""
    rules: Counter[str] = field(default_factory=Counter)
    """Rules in force, by kind."""
    used: Counter[str] = field(default_factory=Counter)
    """Rules that struck at least once, by kind."""
    strikes: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    """Processes that died, by whether the call was carried out."""
    calls: int = 0

    def to_json(self) -> str:
        """It as text."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` gave."""
        given = json.loads(text)
        counters = {key: Counter(each) for key, each in given.items() if key != "calls"}
        return cls(**counters, calls=given["calls"])

    def add(self, other: "Tally") -> None:
        """Adds another's counts."""
        for name, counts in vars(other).items():
            if isinstance(counts, Counter):
                getattr(self, name).update(counts)
        self.calls += other.calls

    @property
    def seeds(self) -> int:
        """How many seeds."""
        return self.stories.total()

    def lines(self) -> list[str]:
        """It for people."""
        if not self.stories:
            return []
        faults = ", ".join(
            f"{kind} {self.strikes[kind]} ({self.used[kind]} of {count} rules)"
            for kind, count in sorted(self.rules.items())
        )
        return [
            f"{self.seeds} seeds converged: {words(self.stories)}",
            f"reruns needed: {words(self.reruns)}",
            f"faults that struck: {faults}",
            f"processes that died: {words(self.kills)}",
            f"calls: {self.calls}",
        ]

    @property
    def blindness(self) -> str:
        """What makes the runs say less than they seem to, "" for nothing."""
        if self.seeds < FEW:
            return ""
        if self.used.total() * 2 < self.rules.total():
            return "most faults struck nothing"
        if len(self.kills) < 2:
            return "no process died before a call, or none after one"
        idle = sorted(kind for kind in self.rules if not self.used[kind])
        return f"these struck nothing: {', '.join(idle)}" if idle and self.seeds >= MANY else ""


def words(counts: Mapping[str, int]) -> str:
    """Counts in words, in order."""
    return ", ".join(f"{key}: {count}" for key, count in sorted(counts.items())) or "none"


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """The options, and who sums up what their runs met."""
    pluginmanager.register(Summary("convergence", PROPERTY, Tally), "convergence")
    group = parser.getgroup("convergence")
    group.addoption("--seeds", type=int, default=SLICE, help="how many seeds are run")
    group.addoption("--seed", type=int, default=None, help="the one seed that is run")


def chosen(config: pytest.Config) -> Iterable[int]:
    """The seeds that the options ask for."""
    one: int | None = config.getoption("--seed")
    many: int = config.getoption("--seeds")
    return range(many) if one is None else [one]
