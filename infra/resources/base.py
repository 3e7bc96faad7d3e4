"""What every kind of resource has in common: it is declared, read, compared, and converged.

A kind says what has to be read to know it (`asks`) and makes of the answers what is there
(`observe`), without a call of its own. It compares flat fields, `settings.tier: db-g1-small`, and
only those it declares: what Google fills in is not ours. Writes are given `Work`, which retries
them and says what is waited for; they are made with Google's clients, imported when one is made.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import ClassVar, Never

from infra.causes import is_absent, is_disabled
from infra.cloud import Cloud
from infra.names import Names
from infra.resources.asks import Ask
from infra.rest import Request
from infra.retry import LongRunning, Retry
from infra.yaml_file import Value

type Fields = dict[str, Value]
type Found = Mapping[str, Value]
"""The answers to a resource's asks, by their names; None for what is not there."""

MARK = ("managed-by", "service", "environment")
SHARED = "shared-with-"
TRUE = "true"


@dataclass(frozen=True)
class Live:
    """What is there: its declared fields as they are now, and whose it is."""

    fields: Mapping[str, Value]
    labels: Mapping[str, str] | None = None
    """None for what can't carry a mark: it is whose its parent is."""
    protected: str = ""
    """Why it can't be deleted, and what would allow it."""
    kept: str = ""
    """Why it stays when the service goes."""
    empty: bool = False
    """Whether nothing of ours is in it, so that there is nothing to delete."""
    waiting: str = ""
    """What somebody has to do before it, and what needs it, can go on."""
    pending: str = ""
    """What Google is still doing about it, which is waited for: "it is being created"."""
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

    answers: dict[Hashable, Future[Value]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def once(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """What `read` returns, which is called by the first to ask for the key."""
        with self.lock:
            known = self.answers.get(key)
            if known is None:
                mine: Future[Value] = Future()
                self.answers[key] = mine
        if known is not None:
            return known.result()
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

    def operate[T](self, verb: str, begin: Callable[[], LongRunning[T]]) -> T:
        """A write that Google carries out in an operation, from its beginning to its end.

        `verb` is what it does, such as create. Raises CloudError.
        """
        return self.wait(f"{verb.removesuffix('e')}ing", self.call(verb, begin))

    def read[T](self, doing: str, function: Callable[[], T]) -> T | None:
        """What is there, None for nothing. Raises CloudError.

        While the plan is made, an API that is not enabled means that there is nothing; later it
        has been enabled, and is waited for.
        """
        return self.retry.call(f"read {doing}", lambda: self._absent_is_none(function))

    def fetch(self, title: str, request: Request) -> Value:
        """What a request is answered, None for what is not there. Raises CloudError."""
        return self.read(title, lambda: self.cloud.rest.fetch(request))

    def ask(self, ask: Ask) -> Value:
        """What was asked for: of the shared answers, or else as it is this moment.

        Raises CloudError.
        """
        if made := self.facts.get(ask.made):
            return made
        if self.reads is None:
            return ask.fresh_answer(self.fetch(ask.title, ask.fresh))
        said = self.reads.once(ask.request, lambda: self.fetch(ask.title, ask.request))
        return ask.answer(said)

    def ask_all(self, asks: Mapping[str, Ask]) -> dict[str, Value]:
        """What was asked for, all at once, by the same names. Raises CloudError."""
        known = self.reads.answers if self.reads else {}
        if sum(ask.request not in known for ask in asks.values()) <= 1:
            return {name: self.ask(ask) for name, ask in asks.items()}
        self.cloud.rest.connect()
        with ThreadPoolExecutor(len(asks)) as pool:
            return dict(zip(asks, pool.map(self.ask, asks.values()), strict=True))

    def look(self, resource: "Resource") -> Live | None:
        """A resource as it is, None for nothing. Raises CloudError."""
        return resource.observe(self.ask_all(resource.asks()))

    def _absent_is_none[T](self, function: Callable[[], T]) -> T | None:
        try:
            return function()
        except Exception as error:
            if is_absent(error) or (self.reads is not None and is_disabled(error)):
                return None
            raise


@dataclass(frozen=True)
class Resource(ABC):
    """One thing in the cloud that the service is made of.

    A kind defines what can happen to it: what only comes and goes with its parent has no `delete`,
    and what declares no field that can change has no `update`.
    """

    names: Names
    needs: tuple["Resource", ...] = field(default=(), kw_only=True)
    """What has to be there before it."""
    parent: "Resource | None" = field(default=None, kw_only=True)
    """What it is a part of, and is deleted with."""
    outlives: tuple["Resource", ...] = field(default=(), kw_only=True)
    """What has to be gone before it goes, besides what needs it."""
    data: bool = field(default=False, kw_only=True)
    """Whether it is what --keep-data keeps."""

    kind: ClassVar[str]
    """What people call it."""
    tags: ClassVar[tuple[str, ...]] = ()
    """The products it is chosen by, with --tags, besides its kind."""
    permissions: ClassVar[Mapping[str, tuple[str, ...]]]
    """The IAM permissions that its calls need: to `read`, `create`, `update` and `delete`."""
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

    def requires(self, verb: str) -> tuple[str, ...]:
        """The IAM permissions it needs, where it is: a verb is one of `permissions`."""
        return self.permissions[verb]

    @abstractmethod
    def asks(self) -> Mapping[str, Ask]:
        """What has to be read to know it, by the names `observe` finds the answers under."""

    @abstractmethod
    def observe(self, found: Found) -> Live | None:
        """What is there by the answers to `asks`, None for nothing. Makes no call."""

    @abstractmethod
    def declared(self, live: Live | None) -> Fields:
        """The fields we declare; what they are may depend on what is there already."""

    @abstractmethod
    def create(self, work: Work) -> str | None:
        """Makes it. Returns what somebody has to do before what needs it can go on."""

    def update(self, work: Work, differences: list[Difference]) -> str | None:
        """Makes it what is declared; reads it anew first, where it is replaced whole."""
        self._never("updated")

    def delete(self, work: Work) -> None:
        """Removes it. That it is gone already is no error."""
        self._never("deleted")

    def _never(self, done: str) -> Never:
        raise TypeError(f"a plan must not have {self.key} {done}: its kind says nothing of how")

    def is_ours(self, live: Live) -> bool:
        """Whether what is there may be changed: it carries our mark, or can carry none."""
        return live.labels is None or owned(live.labels, self.names)

    def taken_back(self, live: Live) -> list[Difference]:
        """What of ours is taken back from something that stays when the service goes."""
        return []

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


def shared_label(names: Names) -> str:
    """The label of what belongs to another service and is ours to use: at most 63 characters, for a
    service's name has at most 22."""
    return f"{SHARED}{names.name}"


def belongs_to_sibling(labels: Mapping[str, str], names: Names) -> bool:
    """Whether the labels say that it is another service's, in the same environment."""
    ours = all(labels.get(key) == names.labels[key] for key in ("managed-by", "environment"))
    return ours and labels.get("service", names.name) != names.name


def sharers(labels: Mapping[str, str], names: Names) -> list[str]:
    """The other services that the labels say use it."""
    services = (key.removeprefix(SHARED) for key in labels if key.startswith(SHARED))
    return sorted(each for each in services if each != names.name)
