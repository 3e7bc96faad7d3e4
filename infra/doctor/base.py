"""What every check has in common: what it is given, what it finds, and how it reads.

A check is a function, Context → list[Finding]. What can't be read is no fault: it is skipped, and
the reason told.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from threading import Event as Flag
from threading import Lock

from infra.causes import Cause, first_line, is_disabled
from infra.cloud import Cloud
from infra.environment import Environment
from infra.events import Event
from infra.plan import Change, Plan, Session, plan, to_converge
from infra.resources.base import Resource
from infra.rest import Request
from infra.retry import CloudError, Retry
from infra.yaml_file import Value


class State(StrEnum):
    """How a check ends."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """A line of the report."""

    check: str
    state: State
    text: str
    fix: str = ""
    """For what failed: the command or the change that mends it."""


class Unreadable(Exception):
    """What a check asks for could not be read; the text says why."""


@dataclass
class Context:
    """The environment that is looked at, and what all checks share."""

    environment: Environment
    folder: Path
    cloud: Cloud
    resources: list[Resource]
    member: str = ""
    """Who calls, as policies name them: `user:ann@acme.com`. Empty when Google does not say."""
    lock: Lock = field(default_factory=Lock)
    planned: Plan | None = None

    @property
    def project(self) -> str:
        """The project's id."""
        return self.environment.project

    @property
    def plan(self) -> Plan:
        """What provision would do, read once whoever asks first."""
        with self.lock:
            if self.planned is None:
                self.planned = plan(self.resources, Session(self.cloud, unheard), to_converge)
            return self.planned

    def change(self, kind: str) -> Change | None:
        """What provision would do about the first resource of a kind; None for none of that kind.

        Raises Unreadable.
        """
        for resource, error in self.plan.failures:
            if resource.kind == kind:
                raise Unreadable(said(error))
        return next((each for each in self.plan.changes if each.resource.kind == kind), None)

    def fetch(self, doing: str, request: Request) -> Value:
        """What a request is answered. Raises Unreadable."""
        return self.read(doing, lambda: self.cloud.rest.fetch(request))

    def read[T](self, doing: str, function: Callable[[], T]) -> T:
        """What a call answers. Raises Unreadable."""

        def call() -> T:
            try:
                return function()
            except Exception as error:
                if is_disabled(error):
                    raise Unreadable("its API is not enabled in the project") from error
                raise

        try:
            return Retry(Flag()).call(doing, call)
        except CloudError as error:
            if error.cause is Cause.ABSENT:
                raise Unreadable(f"there is none: {said(error)}") from error
            raise Unreadable(said(error)) from error


def unheard(event: Event) -> None:
    """Nobody is told of what a plan reads."""


def said(error: CloudError) -> str:
    """What Google answered, on a line."""
    return first_line(error.said)


def ok(check: str, text: str) -> Finding:
    """A line for what is well."""
    return Finding(check, State.OK, text)


def failed(check: str, text: str, fix: str) -> Finding:
    """A line for what is not, and what mends it."""
    return Finding(check, State.FAILED, text, fix)


def skipped(check: str, why: str) -> Finding:
    """A line for what was not looked at, and why."""
    return Finding(check, State.SKIPPED, why)
