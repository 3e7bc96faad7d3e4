"""From which commit of the template to which, and what comes of it: all that precedes a write."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from infra.upgrade.bake import Oven, Question
from infra.upgrade.branch import name_of
from infra.upgrade.merge import Merged, Scratch
from infra.upgrade.origin import Origin
from infra.upgrade.pin import Pin
from infra.upgrade.repository import Repository
from infra.upgrade.state import Side, State
from infra.upgrade.template import Target, Template


@dataclass(frozen=True)
class Plan:
    """An upgrade of a service, in a scratch folder."""

    repository: Repository
    origin: Origin
    pin: Pin
    template: Template
    old: Target
    new: Target
    scratch: Path

    @classmethod
    def make(cls, repository: Repository, ref: str | None, scratch: Path) -> "Plan":
        """From what the service remembers to the newest release, or to a version, branch, tag or
        commit. Raises ProjectError."""
        origin = Origin.read(repository.folder)
        pin = Pin.read(repository.folder)
        template = Template.clone(origin, pin.url, scratch / "template")
        old = template.describe(template.known(origin.commit or ""))
        return cls(repository, origin, pin, template, old, template.target(ref), scratch)

    def is_there(self, ref: str | None) -> bool:
        """Whether there is nothing to do: it is there, or where nothing was named, beyond."""
        if ref is None:
            return self.template.is_part_of(self.new.commit, self.old.commit)
        return self.new.commit == self.old.commit

    @property
    def goes_back(self) -> bool:
        """Whether what it goes to is older."""
        return self.template.is_part_of(self.new.commit, self.old.commit)

    @property
    def news(self) -> list[str]:
        """What the change log says in between."""
        return self.template.news(self.old, self.new)

    @cached_property
    def _new_template(self) -> Path:
        return self.template.checkout(self.new.commit, self.scratch / "new-template")

    @cached_property
    def oven(self) -> Oven:
        """Where the services are baked."""
        folder = self.scratch / "oven"
        folder.mkdir()
        return Oven(folder)

    def unanswered(self, answers: Mapping[str, object]) -> list[Question]:
        """The new template's questions that have no answer among those. Raises ProjectError."""
        return self.oven.unanswered(self._new_template, answers)

    @property
    def no_longer_asked(self) -> list[str]:
        """The remembered answers that the new template has no question for."""
        questions = json.loads((self._new_template / "cookiecutter.json").read_text("utf-8"))
        return [key for key in self.origin.answers if key not in questions]

    def merge(self, answers: Mapping[str, object], *, keep: bool) -> "Result":
        """Bakes the service twice and merges; with `keep`, what comes of it is among the service's
        objects, where nothing refers to it yet. Raises ProjectError when the template refuses the
        answers, and UpgradeError."""
        line = self.pin.line
        old_template = self.template.checkout(self.old.commit, self.scratch / "old-template")
        old = self.oven.bake(old_template, self.origin.answers, "old", line)
        new, taken = self.oven.bake_judged(self._new_template, answers, "new", line)
        scratch = Scratch.make(self.scratch / "scratch.git", self.repository, keep=keep)
        label = f"template-{self.new.name}"
        merged = scratch.merge(scratch.tree_of(old), scratch.tree_of(new), label)
        return Result(self, scratch, merged, taken)


@dataclass(frozen=True)
class Result:
    """What came of it, before the service has any of it."""

    plan: Plan
    scratch: Scratch
    merged: Merged
    answers: Mapping[str, str | bool | int | float | dict[str, str]]

    @property
    def diff(self) -> str:
        """What would change."""
        return self.scratch.diff(self.merged.tree)

    @property
    def state(self) -> State:
        """What has been decided."""
        plan = self.plan
        repository = plan.repository
        remembered = Origin(
            template=plan.template.place,
            subdirectory=plan.origin.subdirectory,
            commit=plan.new.commit,
            version=str(plan.new.version) if plan.new.version else None,
            answers=dict(self.answers),
        )
        head = repository.head
        return State(
            service=repository.prefix,
            name=plan.new.name,
            branch=name_of(plan.new.name),
            came_from=repository.branch or head,
            head=head,
            tree=self.scratch.whole(self.merged.tree, remembered.text()),
            unmerged=tuple(
                Side(
                    mode=each.mode,
                    object=each.object,
                    stage=each.stage,
                    path=repository.prefix + each.path,
                )
                for each in self.merged.unmerged
            ),
            commit=plan.new.commit,
            old=plan.old.name,
        )
