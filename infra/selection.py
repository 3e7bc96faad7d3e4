"""The part of a stack that a run is about, by tags: `--tags database,run`, `--skip-tags build`.

What a chosen resource needs and is left out is read, and never changed: if it is not as declared,
what needs it is blocked.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches

from infra.causes import Cause
from infra.plan import Action, Change, Plan
from infra.project import ProjectError
from infra.resources.base import Resource
from infra.resources.iam import Grants
from infra.retry import CloudError

TAGS = "--tags"
SKIP_TAGS = "--skip-tags"


class UnknownTagError(ProjectError):
    """There is no such tag; the text names those that there are, and the nearest."""


@dataclass(frozen=True)
class Selection:
    """The resources a run is about: those of one of the tags, without those of the skipped ones."""

    tags: frozenset[str] = frozenset()
    """Empty: all."""
    skipped: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tags: str | None, skip: str | None) -> "Selection":
        """The selection of two options, each with tags between commas. Raises UnknownTagError."""
        return cls(parse(TAGS, tags), parse(SKIP_TAGS, skip))

    @property
    def text(self) -> str:
        """The options that leave something out."""
        options = ((TAGS, self.tags), (SKIP_TAGS, self.skipped))
        return " and ".join(name for name, given in options if given)

    def has(self, resource: Resource) -> bool:
        """Whether the run is about it."""
        tags = tags_of(resource)
        return not tags & self.skipped and bool(not self.tags or tags & self.tags)

    def of_stack(self, stack: Sequence[Resource]) -> list[Resource]:
        """What the run is about, and what that needs, in the order of the stack."""
        keys = {key for each in stack if self.has(each) for key in with_needs(each)}
        return [each for each in stack if each.key in keys]

    def narrow(self, planned: Plan) -> Plan:
        """The plan, with what is left out only looked at, and what it blocks blocked."""
        undone = {
            change.resource.key
            for change in planned.changes
            if change.action is not Action.NONE and not self.has(change.resource)
        }
        return replace(planned, changes=[self.limit(each, undone) for each in planned.changes])

    def limit(self, change: Change, undone: set[str]) -> Change:
        """A change, limited: `undone` are those that are left out and not as declared."""
        if not self.has(change.resource):
            return replace(change, left_out=True)
        culprit = next((key for key in with_needs(change.resource) if key in undone), None)
        if culprit is None:
            return change
        blocked = f"{culprit} is left out by {self.text} and is not as declared"
        return replace(change, blocked=blocked)

    @contextmanager
    def needing_a_bucket(self) -> Iterator[None]:
        """Says what to do when the bucket, which the lease is kept in, is left out and missing."""
        try:
            yield
        except CloudError as error:
            if error.cause is not Cause.ABSENT or not self.text:
                raise
            fix = f"The lease is kept in the bucket: provision once without {self.text}."
            raise CloudError(error.doing, error.said, fix, error.cause) from error


def parse(option: str, given: str | None) -> frozenset[str]:
    """The tags of an option. Raises UnknownTagError."""
    tags = frozenset(each.strip() for each in (given or "").split(",") if each.strip())
    known = known_tags()
    for tag in sorted(tags):
        if tag not in known:
            near = get_close_matches(tag, known, 1)
            hint = f": did you mean {near[0]}?" if near else "."
            raise UnknownTagError(
                f"{option}: there is no tag {tag!r}{hint} There are: {', '.join(known)}"
            )
    return tags


def tags_of(resource: Resource) -> frozenset[str]:
    """The tags of a resource: its products', those of what it is about, and its kind."""
    of_scope = resource.scope.tags if isinstance(resource, Grants) else ()
    return frozenset({*resource.tags, *of_scope, tag_of_kind(resource)})


def tag_of_kind(resource: Resource | type[Resource]) -> str:
    """A kind as a tag."""
    return resource.kind.replace(" ", "-")


def known_tags() -> list[str]:
    """The tags that there are."""
    import infra.stack  # noqa: F401, PLC0415  # every kind is known once the stack is

    kinds = list(descendants(Resource))  # type: ignore[type-abstract]
    return sorted(
        {tag_of_kind(each) for each in kinds if hasattr(each, "kind")}
        | {tag for each in kinds for tag in each.tags}
    )


def descendants(kind: type[Resource]) -> Iterator[type[Resource]]:
    """The kinds of a kind."""
    for each in kind.__subclasses__():
        yield each
        yield from descendants(each)


def with_needs(resource: Resource) -> Iterator[str]:
    """The keys of a resource and of all that it needs, the nearest first."""
    yield resource.key
    for need in resource.needs:
        yield from with_needs(need)
