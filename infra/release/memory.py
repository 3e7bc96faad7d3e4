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


type Split = tuple[tuple[str, int], ...]
"""Which revisions serve, and what percent each."""


@dataclass(frozen=True)
class Rollout:
    """A revision on its way to the traffic.

    `serving` had it before, which is what to put back; `given` is the split that was asked for
    last: another one on the live service is somebody else's.
    """

    candidate: str
    serving: Split
    given: Split


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
            now = self.rollout
            note = {
                "candidate": now.candidate,
                "serving": dict(now.serving),
                "given": dict(now.given),
            }
            kept[ROLLOUT] = json.dumps(note)
        if self.served:
            kept[SERVED] = json.dumps(self.served)
        return kept

    def begun(self, candidate: str, serving: Split, given: Split) -> "Memory":
        """With a rollout under way."""
        return replace(self, rollout=Rollout(candidate, serving, given))

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
    serving, asked = split_of(given.get("serving")), split_of(given.get("given"))
    if serving is None or asked is None:
        return None
    return Rollout(given["candidate"], serving, asked)


def split_of(given: object) -> Split | None:
    """The split that was written down; None for anything else."""
    if not isinstance(given, dict):
        return None
    return tuple((str(name), part) for name, part in given.items() if isinstance(part, int))


def loads(text: str) -> object:
    """What JSON says; None for what is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None
