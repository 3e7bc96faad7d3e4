"""The parts of `invoke upgrade`: what it asks, what it tells, and what is done after what."""

import shlex
import sys
from collections.abc import Iterable

from invoke.exceptions import Exit

from infra.project import Project, ProjectError
from infra.report import complain, say, step
from infra.tasks.options import FAILED
from infra.tasks.scratch import putting_away, scratch, temporary_files_in
from infra.upgrade import branch, finish, state
from infra.upgrade.bake import Question
from infra.upgrade.merge import Change, Merged
from infra.upgrade.pin import Pin
from infra.upgrade.plan import Plan
from infra.upgrade.repository import Repository
from infra.upgrade.state import State

PREFIX = "cookiecutter-cloudrun-upgrade-"
CHECKS = ("lint", "test")
CONTINUE = "uv run invoke upgrade --continue"
ABORT = "uv run invoke upgrade --abort"
YES = {"y", "yes", "true", "1"}
NO = {"n", "no", "false", "0"}


def begin(repository: Repository, to: str | None, *, dry_run: bool) -> State | None:
    """Takes an upgrade as far as the working tree; None when there is nothing to do, or nothing is
    to be touched. Raises ProjectError and UpgradeError."""
    check_nothing_under_way(repository)
    pin = Pin.read(repository.folder)
    repository.check_clean(locked_anew="path" in pin.source)
    with putting_away() as put_away:
        folder = put_away.enter_context(scratch(PREFIX))
        put_away.enter_context(temporary_files_in(folder))
        with step("get the template"):
            plan = Plan.make(repository, to, folder)
        if plan.is_there(to):
            say_there(plan, to)
            return None
        if not dry_run:
            branch.check_free(repository, branch.name_of(plan.new.name))
        say_way(plan)
        answers = answer(plan, is_asked=not dry_run and sys.stdin.isatty())
        with step("bake the old and the new, and merge"):
            result = plan.merge(answers, keep=not dry_run)
        tell(result.merged)
        if dry_run:
            say(f"\n{result.diff}\n\nNothing was touched.")
            return None
        begun = result.state
        branch.check_room(repository, begun)
        begun.write(repository)
        return branch.place(repository, begun)


def check_nothing_under_way(repository: Repository) -> None:
    """Raises ProjectError when an upgrade is; one that was ended by hand is forgotten."""
    found = state.find(repository)
    if found is None:
        return
    if branch.is_over(repository, found):
        state.forget(repository)
        return
    raise ProjectError(
        f"an upgrade to {found.name} is under way on {found.branch}: {CONTINUE} finishes it, "
        "--abort undoes it"
    )


def under_way(repository: Repository) -> State:
    """The upgrade of this service that is under way. Raises ProjectError when there is none."""
    found = state.find(repository)
    if found is None:
        raise ProjectError("no upgrade is under way here")
    if found.service != repository.prefix:
        other = found.service or "."
        raise ProjectError(f"what is under way is the upgrade of {other}: run this there")
    return found


def go_on(repository: Repository) -> State:
    """Takes up what is under way; one that was killed is put into the working tree once more."""
    found = under_way(repository)
    return found if found.placed else branch.place(repository, found)


def undo(repository: Repository) -> None:
    """Undoes what is under way."""
    found = under_way(repository)
    kept = branch.abort(repository, found)
    say(f"The upgrade to {found.name} is undone: {found.came_from} is checked out, as it was.")
    if kept:
        say(f"The branch {found.branch} stays, for it has commits of yours.")


def complete(project: Project, repository: Repository, found: State, *, tested: bool) -> None:
    """Takes an upgrade to its commit, or says what has to be done before."""
    if left := branch.in_conflict(repository, found):
        say_conflicts(found, left)
        raise Exit(code=FAILED)
    finish.check_branch(repository, found)
    if said := finish.move_pin(repository, found):
        complain(f"note: {said}")
    with step("lock the dependencies"):
        finish.lock(repository)
    failed = [check for check in CHECKS if tested and project.run("invoke", check)]
    if failed:
        complain(
            f"failed: {', '.join(f'invoke {check}' for check in failed)}. The upgrade to "
            f"{found.name} is in the working tree, on {found.branch}, and not committed. Mend it "
            f"(uv run invoke lint --fix formats), then: {CONTINUE}. To undo it: {ABORT}"
        )
        raise Exit(code=FAILED)
    with step("commit"):
        made = finish.commit(repository, found)
    say_end(found, made)


def answer(plan: Plan, *, is_asked: bool) -> dict[str, object]:
    """The remembered answers, and those to the new questions: asked, or their defaults."""
    answers: dict[str, object] = dict(plan.origin.answers)
    while new := plan.unanswered(answers):
        # One by one: the default of the next may be made of this one.
        question = new[0]
        if is_asked:
            answers[question.key] = ask(question)
            continue
        for each in new:
            answers[each.key] = each.default
            say(f"A new question: {each.text}. Its default is taken: {each.default!r}")
    return answers


def ask(question: Question) -> object:
    """The answer of whoever is at the terminal, until it is one that can be."""
    default = question.default
    say(f"A new question: {question.text}")
    for number, choice in enumerate(question.choices, 1):
        say(f"  {number} - {choice}")
    while True:
        given = input(f"  [{default}]: ").strip()
        if not given or isinstance(default, dict):
            return default
        if isinstance(default, bool) and given.lower() in YES | NO:
            return given.lower() in YES
        if question.choices and given.isdigit() and 0 < int(given) <= len(question.choices):
            return question.choices[int(given) - 1]
        if given in question.choices or not (question.choices or isinstance(default, bool)):
            return given
        say("  one of those, please")


def say_there(plan: Plan, to: str | None) -> None:
    """That there is nothing to do, and where it is."""
    say(f"Already at {plan.old.name}.")
    if to is None and plan.template.releases:
        newest = plan.template.releases[0].version
        say(f"The newest release of {plan.template.place} is {newest}; --to goes elsewhere.")


def say_way(plan: Plan) -> None:
    """From where to where, and what a user notices of it."""
    back = ", which is older" if plan.goes_back else ""
    say(f"\n{plan.repository.folder.name}: template {plan.old.name} to {plan.new.name}{back}\n")
    for each in plan.news:
        say(f"{each}\n")
    if plan.origin.dirty:
        complain(
            "note: when the service was generated, the template's folder differed from its commit: "
            "what was different there counts as your change"
        )
    if gone := plan.no_longer_asked:
        say(f"No longer asked, and forgotten: {', '.join(gone)}")


def tell(merged: Merged) -> None:
    """What the template changes in the service, in a few lines."""
    conflicts = set(merged.conflicts)
    clean = [each for each in merged.changes if each.path not in conflicts]
    say(f"  changed   {count(clean, 'MT')}")
    for kind, word in {"A": "new", "D": "gone"}.items():
        for change in clean:
            if change.kind == kind:
                say(f"  {word:9} {change.path}")
    for path in merged.stay_deleted:
        say(f"  {'deleted':9} {path} stays so: you have deleted it; the template has changed it")
    for path in merged.conflicts:
        say(f"  {'conflict':9} {path}")


def count(changes: Iterable[Change], kinds: str) -> str:
    """How many files, in words."""
    number = sum(1 for each in changes if each.kind in kinds)
    return f"{number} file{'' if number == 1 else 's'}"


def say_conflicts(found: State, left: list[str]) -> None:
    """What has to be resolved, and how it goes on."""
    paths = "".join(f"\n  {path}" for path in left)
    say(
        f"\nThe upgrade to {found.name} is on the branch {found.branch}, in conflict with you in:"
        f"{paths}\n"
        "Resolve each (git mergetool, or by hand between <<<<<<< yours and >>>>>>> template), "
        f"git add it (git rm what is to go), then:\n  {CONTINUE}\nTo undo it all:\n  {ABORT}"
    )
    if any(path.endswith("pyproject.toml") for path in left):
        say(
            "uv can't read pyproject.toml while it has markers. To undo it as it is:\n"
            "  .venv/bin/invoke upgrade --abort"
        )


def say_end(found: State, made: str) -> None:
    """What came of it, and what to do with it."""
    back = shlex.quote(found.came_from)
    say(
        f"\nUpgraded to {found.name}: commit {made[:7]} on {found.branch}. Look at it: git show\n"
        f"  to have it:  git switch {back} && git merge {found.branch}\n"
        f"  to drop it:  git switch {back} && git branch -D {found.branch}"
    )
