"""What the live service remembers of its releases, in annotations of its own.

There is no state file: a release that was killed is undone from here, and a rollback finds here
what served before.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra.names import MANAGED_BY

ROLLOUT = f"{MANAGED_BY}/rollout"
SERVED = f"{MANAGED_BY}/served"
MOST = 20


@dataclass(frozen=True)
class Rollout:
    """A revision on its way to the traffic, and who had it before: what to put back."""

    candidate: str
    serving: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Memory:
    """`rollout` is under way, or was cut off; `served` had all the traffic, the newest first."""

    rollout: Rollout | None = None
    served: tuple[str, ...] = ()

    @classmethod
    def read(cls, annotations: Mapping[str, str]) -> "Memory":
        """The memory in a service's annotations. What somebody spoilt counts as forgotten."""
        given = loads(annotations.get(ROLLOUT, ""))
        served = loads(annotations.get(SERVED, ""))
        names = served if isinstance(served, list) else []
        return cls(rollout_of(given), tuple(each for each in names if isinstance(each, str)))

    def annotations(self, others: Mapping[str, str]) -> dict[str, str]:
        """The annotations that keep it, beside the others that are there."""
        kept = {key: value for key, value in others.items() if key not in (ROLLOUT, SERVED)}
        if self.rollout:
            given = {"candidate": self.rollout.candidate, "serving": dict(self.rollout.serving)}
            kept[ROLLOUT] = json.dumps(given)
        if self.served:
            kept[SERVED] = json.dumps(self.served)
        return kept

    def begun(self, candidate: str, serving: tuple[tuple[str, int], ...]) -> "Memory":
        """With a rollout under way."""
        return replace(self, rollout=Rollout(candidate, serving))

    def ended(self) -> "Memory":
        """Without a rollout under way; what served is what served before it."""
        return replace(self, rollout=None)

    def won(self, revision: str) -> "Memory":
        """When a revision has all the traffic. One that had it before takes its old place: what
        came after it was given up."""
        before = self.served
        if revision in before:
            before = before[before.index(revision) + 1 :]
        return Memory(None, (revision, *before)[:MOST])


def rollout_of(given: object) -> Rollout | None:
    """The rollout that was written down; None for anything else."""
    if not isinstance(given, dict) or not isinstance(given.get("candidate"), str):
        return None
    serving = given.get("serving")
    if not isinstance(serving, dict):
        return None
    pairs = ((str(name), percent) for name, percent in serving.items() if isinstance(percent, int))
    return Rollout(given["candidate"], tuple(pairs))


def loads(text: str) -> object:
    """What JSON says; None for what is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None
