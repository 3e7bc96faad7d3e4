"""`invoke entity`: a new entity through every layer, from its fields in words; and out again."""

# ruff: noqa: PLC0415

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.project import Project, ProjectError
from infra.report import complain, say, step
from infra.tasks.many_words import ManyWords
from infra.tasks.options import (
    FAILED,
    INTERRUPTED,
    SERVICE,
    friendly,
    terminated_is_interrupted,
)

if TYPE_CHECKING:
    from infra.scaffold.declared import Declared
    from infra.scaffold.entity import Entity, OnDelete
    from infra.scaffold.existing import Existing
    from infra.scaffold.put import Texts

HELP = {
    "plural": "Its plural, which names the table and the routes. Default: the English one.",
    "unique": "Fields that are unique together: --unique category,name. May be given again.",
    "add": "The entity that gets the fields: its layers, tests and migrations are changed.",
    "dry-run": "Show what would change as a diff, and write nothing.",
    "remove": "The entity to remove, or to take the fields out of that are named behind it.",
    "yes": "Do not ask before --remove.",
    "no-checks": "Write only: neither lint, type-check nor run the new tests.",
    "service": SERVICE,
}
STAYS = (
    "The files are written: mend them, or undo it all with git (git status names them; an entity "
    "of no commit also goes with uv run invoke entity --remove)"
)
USAGE = (
    'uv run invoke entity Product "name:str unique max=80" "price:Decimal gt=0"'
    ' "category:ref Category"'
)


@task(klass=ManyWords, help=HELP, iterable=["unique"])
@friendly
def entity(  # noqa: PLR0913, PLR0917
    context: Context,
    words: tuple[str, ...] = (),
    plural: str = "",
    unique: list[str] | None = None,
    dry_run: bool = False,
    add: str = "",
    remove: str = "",
    yes: bool = False,
    no_checks: bool = False,
    service: str | None = None,
) -> None:
    """Write an entity: its model, errors, query, repository, service, router, migration, tests.

    invoke entity Product "name:str unique max=80" "price:Decimal gt=0" "category:ref Category"

    The types are str, int, float, Decimal, bool, date, datetime, time, UUID, JSON, enum[a,b],
    list[str] and ref Other; ? behind one makes it optional. See docs/entities.md.
    """
    project = Project.find(service)
    with terminated_is_interrupted():
        refuse_mixed(words, plural, unique or [], add, remove)
        recover(project, dry_run=dry_run)
        if remove:
            leave(project, remove, words, yes=yes, dry_run=dry_run, no_checks=no_checks)
            return
        name, fields = (add, words) if add else (words[0], words[1:])
        found, existing = decide(project, name, fields, plural, unique or [], is_added=bool(add))
        texts = written(project, found, existing, is_added=bool(add))
        if dry_run:
            show(project, texts)
            return
        put(project, texts)
        if not no_checks:
            check(project, found.name, texts)
    say_next(found, is_added=bool(add), checked=not no_checks)


def refuse_mixed(
    words: Sequence[str], plural: str, unique: Sequence[str], add: str, remove: str
) -> None:
    """Raises ProjectError for words that don't belong together."""
    if remove and (plural or unique or add):
        said = "--plural, --unique and --add are for what comes"
        raise ProjectError(f"--remove {remove}: {said}; nothing was removed")
    if add and (plural or unique):
        raise ProjectError(f"--add {add}: --plural and --unique are for a new entity")
    if not (words or add or remove):
        raise ProjectError(f"which entity, with which fields? As in: {USAGE}")


def recover(project: Project, *, dry_run: bool) -> None:
    """Undoes what a command that was killed left, and says so. Raises ProjectError where nothing
    is to be written."""
    from infra.scaffold import put

    if dry_run and (project.folder / put.JOURNAL).exists():
        raise ProjectError(
            f"{put.JOURNAL}: a command was killed here, and has to be undone first: run this "
            "without --dry-run"
        )
    for path in put.recover(project.folder):
        say(f"{path} is as it was before the command that was killed")


def decide(  # noqa: PLR0913
    project: Project,
    name: str,
    fields: Sequence[str],
    plural: str,
    unique: Sequence[str],
    *,
    is_added: bool,
) -> "tuple[Entity, Existing]":
    """The entity of the words, and what the service has; asks what was not said."""
    from dataclasses import replace

    from infra.scaffold import existing, judge, words

    there = existing.read(project.folder)
    declared = [words.parse(text) for text in fields]
    if is_added:
        found = judge.added_to(name, declared, there)
    else:
        found = judge.entity_of(name, declared, there, plural, unique)
    rules = {each.field.name: rule_of(found, each) for each in judge.unsaid_rules(declared)}
    chosen = tuple(
        replace(each, on_delete=rules.get(each.name, each.on_delete)) for each in found.fields
    )
    say(f"{found.class_name}: table {found.plural}, routes /{found.path}")
    return replace(found, fields=chosen), there


def rule_of(entity: "Entity", each: "Declared") -> "OnDelete":
    """What becomes of an entity whose reference is deleted: asked at a terminal."""
    from infra.scaffold.entity import OnDelete
    from infra.scaffold.judge import rules_of

    field, rules = each.field, rules_of(each.field)
    if not sys.stdin.isatty():
        others = " or ".join(rules[1:])
        say(f"{field.name}: on_delete=restrict, as none was said (it could be {others})")
        return OnDelete.RESTRICT
    say(f"When a {field.target} is deleted that a {entity.words} refers to:")
    meanings = {
        OnDelete.RESTRICT: "it is not, and the caller gets 409",
        OnDelete.CASCADE: f"the {entity.plural_words} go with it",
        OnDelete.SET_NULL: f"the {entity.plural_words} refer to none",
    }
    for number, rule in enumerate(rules, start=1):
        say(f"  {number}  {rule}  {meanings[rule]}")
    while True:
        answer = asked(f"{field.name}, 1 to {len(rules)} [1]: ") or "1"
        by_answer = {str(number): rule for number, rule in enumerate(rules, start=1)}
        by_answer |= {str(rule): rule for rule in rules}
        if answer in by_answer:
            return by_answer[answer]
        complain(f"“{answer}” is none of them")


def asked(question: str) -> str:
    """The answer of the person at the terminal; "" at the end of the input."""
    try:
        return input(question).strip()
    except EOFError:
        return ""


def written(project: Project, entity: "Entity", existing: "Existing", *, is_added: bool) -> "Texts":
    """The texts of all files, in the service's own words."""
    from infra.scaffold import add, write
    from infra.scaffold.migration import now

    date = now().isoformat()
    with step("writing its files and migration"):
        if is_added:
            return add.add_texts(entity, existing.tables, project.folder, date=date)
        return write.texts(entity, existing.tables, project.folder, date=date)


def show(project: Project, texts: "Texts") -> None:
    """The diff."""
    from infra.scaffold import put

    for text in put.diffs(project.folder, texts):
        print(text, end="")
    say("\nnothing was written: --dry-run")


def put(project: Project, texts: "Texts") -> None:
    """Writes them, and says what was made as a tree."""
    from infra.scaffold import put
    from infra.scaffold.tree import tree

    marks = {path: mark for path in texts if (mark := mark_of(project, path, texts[path]))}
    put.put(project.folder, texts)
    say(tree(f"{project.folder.name}/", marks))


def mark_of(project: Project, path: str, text: str | None) -> str:
    """What becomes of a file; "" when it stays as it is."""
    from infra.scaffold.put import current

    before = current(project.folder / path)
    if before == text:
        return ""
    if before is None:
        return "new"
    return "removed" if text is None else "changed"


def check(project: Project, name: str, texts: "Texts") -> None:
    """Lints, type-checks and tests what is new of an entity (`line_item`). Raises Exit when one
    fails, or it is interrupted; the files stay."""
    paths = [path for path, text in texts.items() if text is not None and path.endswith(".py")]
    checks = [
        ["ruff", "check", "--quiet", *paths],
        ["ruff", "format", "--check", "--quiet", *paths],
        ["mypy"],
        ["pytest", "-q", f"tests/test_{name}.py"],
    ]
    for each in checks:
        program = " ".join(each[: 2 if each[0] == "ruff" else 1])
        try:
            with step(program) as line:
                done = project.ask(*each)
                if done.returncode:
                    line.log(done.stdout + done.stderr)
                    raise Exit(f"error: {program} failed. {STAYS}", code=FAILED)
        except KeyboardInterrupt:
            raise Exit(f"interrupted: {program} did not end. {STAYS}", code=INTERRUPTED) from None


def say_next(entity: "Entity", *, is_added: bool, checked: bool) -> None:
    """What is left to do."""
    brings = "brings what is new in its table" if is_added else "brings its table"
    ready = "is ready to commit" if checked else "is written, not checked: uv run invoke lint, test"
    say(f"{entity.class_name} {ready}. Its migration {brings}: uv run invoke migrate")


def leave(  # noqa: PLR0913
    project: Project,
    name: str,
    fields: Sequence[str],
    *,
    yes: bool,
    dry_run: bool,
    no_checks: bool,
) -> None:
    """Takes an entity out of the service, or fields out of an entity, after asking."""
    from infra.scaffold import existing, names, remove, remove_field

    there = existing.read(project.folder)
    removal = remove_field.removal(name, fields, there) if fields else remove.removal(name, there)
    if dry_run:
        show(project, removal.texts)
        say(removal.then)
        return
    if not yes:
        if not sys.stdin.isatty():
            raise ProjectError("nothing was removed: there is no terminal to ask at; say --yes")
        for path in removal.texts:
            say(f"  {path}  {mark_of(project, path, removal.texts[path])}")
        what = f"{', '.join(fields)} of {name}" if fields else name
        if asked(f"Remove {what}? [y/N] ").lower() not in {"y", "yes"}:
            raise ProjectError("nothing was removed")
    put(project, removal.texts)
    if fields and not no_checks:
        check(project, names.snake(name), removal.texts)
    say(removal.then)
