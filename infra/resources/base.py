"""What every kind of resource has in common: it is declared, read, compared, and converged.

A kind compares flat fields, `settings.tier: db-g1-small`, and only those it declares: what Google
fills in is not ours. Writes are given `Work`, which retries them and says what is waited for.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import ClassVar

from infra.causes import is_absent, is_disabled
from infra.cloud import Cloud
from infra.names import Names
from infra.retry import LongRunning, Retry
from infra.yaml_file import Value

type Fields = dict[str, Value]

MARK = ("managed-by", "service", "environment")


@dataclass(frozen=True)
class Live:
    """What is there: its declared fields as they are now, and whose it is."""

    fields: Mapping[str, Value]
    labels: Mapping[str, str] | None = None
    """None for what can't carry a mark: it is whose its parent is."""
    protected: str = ""
    """Why it can't be deleted, and what would allow it."""
    waiting: str = ""
    """What somebody has to do before it, and what needs it, can go on."""
    pending: str = ""
    """What Google is still doing about it, which is waited for: "it is being created"."""
    note: str = ""
    """What a person should know about it, besides."""
    state: Mapping[str, str] = field(default_factory=dict)
    """What is there and not compared."""


@dataclass(frozen=True)
class Difference:
    """A field that is not as declared."""

    path: str
    old: Value
    new: Value


@dataclass
class Reads:
    """Answers shared by those who ask the same thing at the same time: a list is read once."""

    answers: dict[tuple[str, ...], Future[object]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def once[T](self, key: tuple[str, ...], read: Callable[[], T]) -> T:
        """What `read` returns, which is called by the first to ask for the key."""
        with self.lock:
            known = self.answers.get(key)
            if known is None:
                mine: Future[object] = Future()
                self.answers[key] = mine
        if known is not None:
            answer: T = known.result()  # type: ignore[assignment]
            return answer
        try:
            answer = read()
        except BaseException as error:
            mine.set_exception(error)
            raise
        mine.set_result(answer)
        return answer


@dataclass
class Work:
    """What a resource is read and written with."""

    cloud: Cloud
    retry: Retry
    facts: dict[str, str]
    """What was made in this run and others need: a secret's version number, by its name."""
    reads: Reads | None = None
    """Shared answers while the plan is made; None when it has to be fresh."""
    writes: int = 0

    def call[T](self, doing: str, function: Callable[[], T]) -> T:
        """A write, retried, but for what may have been done all the same. Raises CloudError."""
        self.writes += 1
        return self.retry.write(doing, function)

    def wait[T](self, doing: str, operation: LongRunning[T]) -> T:
        """The result of a long-running operation. Raises CloudError."""
        return self.retry.wait(doing, operation)

    def read[T](self, doing: str, function: Callable[[], T]) -> T | None:
        """What is there, None for nothing. Raises CloudError.

        While the plan is made, an API that is not enabled means that there is nothing; later it
        has been enabled, and is waited for.
        """
        return self.retry.call(f"read {doing}", lambda: self._absent_is_none(function))

    def shared[T](self, key: tuple[str, ...], doing: str, function: Callable[[], T]) -> T | None:
        """Like `read`, for what several resources read: a list, or a policy."""
        if self.reads is None:
            return self.read(doing, function)
        return self.reads.once(key, lambda: self.read(doing, function))

    def _absent_is_none[T](self, function: Callable[[], T]) -> T | None:
        try:
            return function()
        except Exception as error:
            if is_absent(error) or (self.reads is not None and is_disabled(error)):
                return None
            raise


@dataclass(frozen=True)
class Resource(ABC):
    """One thing in the cloud that the service is made of."""

    names: Names
    needs: tuple["Resource", ...] = field(default=(), kw_only=True)
    """What has to be there before it."""

    kind: ClassVar[str]
    """What people call it."""
    tags: ClassVar[tuple[str, ...]] = ()
    """The products it is chosen by, with --tags, besides its kind."""
    shared: ClassVar[bool] = False
    """Whether others may use it too: then it is nobody's, and is never deleted."""
    parted: ClassVar[bool] = False
    """Whether it goes with what it is a part of, and is not deleted by itself."""
    fixed: ClassVar[Mapping[str, str]] = {}
    """Fields that can't change once it is there, and why."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its short name, unique in its kind."""

    @property
    def key(self) -> str:
        """How it is known in this stack."""
        return f"{self.kind} {self.name}"

    @abstractmethod
    def declared(self, live: Live | None) -> Fields:
        """The fields we declare; what they are may depend on what is there already."""

    @abstractmethod
    def read(self, work: Work) -> Live | None:
        """What is there, None for nothing. Raises CloudError."""

    @abstractmethod
    def create(self, work: Work) -> str | None:
        """Makes it. Returns what somebody has to do before what needs it can go on."""

    @abstractmethod
    def update(self, work: Work, differences: list[Difference]) -> str | None:
        """Makes it what is declared; reads it anew first, where it is replaced whole."""

    @abstractmethod
    def delete(self, work: Work) -> None:
        """Removes it. That it is gone already is no error."""

    def differences(self, live: Live) -> list[Difference]:
        """The declared fields that are not as declared."""
        return [
            Difference(path, live.fields.get(path), value)
            for path, value in self.declared(live).items()
            if live.fields.get(path) != value
        ]

    def made(self) -> list[Difference]:
        """The fields it is made with."""
        return [Difference(path, None, value) for path, value in self.declared(None).items()]


def owned(labels: Mapping[str, str], names: Names) -> bool:
    """Whether the labels say that it is this stack's."""
    return all(labels.get(key) == names.labels[key] for key in MARK)


def owner(labels: Mapping[str, str]) -> str:
    """Whose it is, in words."""
    if labels.get("managed-by"):
        service, environment = labels.get("service", "?"), labels.get("environment", "?")
        return f"it belongs to {service} in {environment} ({labels['managed-by']})"
    return "it was not made by invoke provision"


def mark_text(names: Names) -> str:
    """The mark of what has a description and no labels."""
    return " ".join(f"{key}={value}" for key, value in names.labels.items())


def read_mark(text: str) -> dict[str, str]:
    """The labels in a description."""
    pairs = (word.partition("=") for word in text.split())
    return {key: value for key, _, value in pairs if key in MARK}


def labels_declared(names: Names) -> Fields:
    """The labels as fields."""
    return {f"labels.{key}": value for key, value in names.labels.items()}


def labels_live(labels: Mapping[str, str]) -> Fields:
    """The labels that are there, as fields."""
    return {f"labels.{key}": value for key, value in labels.items()}
