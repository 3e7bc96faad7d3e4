"""A service in a project of its own, on an emulator, and what the emulator was asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from google.iam.v1 import iam_policy_pb2, options_pb2, policy_pb2  # type: ignore[import-untyped]

from infra.apply import refuse
from infra.clock import SYSTEM, Clock
from infra.cloud import Cloud
from infra.converge import Lock, check, converge, remove
from infra.environment import Environment
from infra.events import Event, Finished, Status
from infra.outcome import Outcome
from infra.plan import Session, plan, to_remove
from infra.reporter import change
from infra.stack import stack

type Call = dict[str, Any]
type Make = Callable[..., Ours]


class Journal:
    """What an emulator was asked, by whichever client."""

    def __init__(self, host: str) -> None:
        self.url = f"http://{host}/emulator/journal"

    def clear(self) -> None:
        """Forgets what was asked."""
        httpx.delete(self.url, trust_env=False).raise_for_status()

    @property
    def calls(self) -> list[Call]:
        """What was asked since."""
        calls: list[Call] = httpx.get(self.url, trust_env=False).json()["calls"]
        return calls

    @property
    def writes(self) -> list[str]:
        """The calls that were meant to change something."""
        return [f"{each['http']} {each['path']}" for each in self.calls if each["write"]]


@dataclass
class Ours:
    """A service in a project of its own."""

    cloud: Cloud
    folder: Path
    events: list[Event] = field(default_factory=list)
    clock: Clock = SYSTEM

    @classmethod
    def make(cls, host: str, folder: Path, project: str, **fields: object) -> "Ours":
        """A service with its manifest, of which nothing is there yet."""
        given = {"name": "stg", "project": project, "region": "europe-west1"}
        service = {"name": "orders"}
        environment = Environment.model_validate({**given, "service": service, **fields})
        return cls(Cloud(environment, host), folder)

    def provision(
        self, *, adopt: bool = False, until: int = 1000, lock_timeout: float = 0
    ) -> Outcome:
        """Converges; interrupted after so many resources."""
        left = [until]

        def emit(event: Event) -> None:
            self.events.append(event)
            if isinstance(event, Finished):
                left[0] -= 1
                if left[0] <= 0:
                    session.stop.set()

        session = Session(self.cloud, emit, adopt, clock=self.clock)
        resources = stack(self.cloud.environment, self.folder)
        return converge(resources, session, Lock("invoke provision", lock_timeout))

    def check(self) -> Outcome:
        """Says what would change."""
        session = Session(self.cloud, self.events.append, clock=self.clock)
        return check(stack(self.cloud.environment, self.folder), session)

    def destroy(self, *, keep_data: bool = False) -> Outcome:
        """Removes."""
        session = Session(self.cloud, self.events.append, clock=self.clock)
        decide = partial(to_remove, keep_data=keep_data)
        planned = plan(stack(self.cloud.environment, self.folder), session, decide)
        if planned.refused or planned.failures:
            return refuse(planned, session)
        return remove(planned, session, Lock("invoke destroy"), decide)

    def told(self) -> str:
        """All that was said."""
        lines = [f"{each}" for each in self.events]
        finished = [each for each in self.events if isinstance(each, Finished)]
        return "\n".join(lines + [change(one) for each in finished for one in each.fields])

    def policy(self) -> policy_pb2.Policy:
        """The project's policy."""
        options = options_pb2.GetPolicyOptions(requested_policy_version=3)
        return self.cloud.projects.get_iam_policy(
            iam_policy_pb2.GetIamPolicyRequest(resource=self.project, options=options)
        )

    @property
    def project(self) -> str:
        """The project's full name."""
        return f"projects/{self.cloud.names.project}"


def is_well(outcome: Outcome) -> bool:
    """Whether every resource is as declared."""
    return set(outcome.statuses.values()) <= {Status.OK, Status.CHANGED}
