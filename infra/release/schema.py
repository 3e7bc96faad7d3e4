"""The schema's history: db/versions as it is written, and which versions can live with a migration.

For a rollback: `stands_between(folder, current, target)` → the migrations that took from the target
what it needs, oldest first; `current` is `migrate.current(work)`, `target` its revision's Record.
"""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from infra.project import ProjectError
from infra.release import ReleaseError, service_python
from infra.release.record import Record
from infra.release.service_python import Columns
from infra.release.statements import Effect, Taken, effect_of, is_wider

VERSIONS = "db/versions"
ALLOW = re.compile(r"#\s*lint:\s*allow\b(?P<rest>.*)$", re.MULTILINE)
REASON = re.compile(r"\s+(?P<rule>[\w-]+)\s+because\s+(?P<reason>\S.*)")
# The rule that a migration breaks whose statements depend on what is in the database.
UNPRINTABLE = "unprintable"
# All annotations of a revision have room for 256 KiB together.
MOST_COLUMNS_BYTES = 100 * 1024
TWO_RELEASES = (
    "    Release the code that no longer uses it first, without this migration; then the "
    "migration: docs/migrations.md"
)


class SchemaError(ProjectError):
    """The migrations can't be used as they are; the text names the file and what to change."""


@dataclass(frozen=True)
class Migration:
    """A file of db/versions. `contract` is what it declares itself, None when it says nothing."""

    revision: str
    after: tuple[str, ...]
    file: Path
    title: str
    contract: bool | None
    allowed: Mapping[str, str]
    """The rules of the linter that it may break, each with the reason."""
    source: str

    def __str__(self) -> str:
        return f"{self.revision} ({self.title})" if self.title else self.revision

    @property
    def where(self) -> str:
        """Its file, from the service's folder."""
        return f"{VERSIONS}/{self.file.name}"


@dataclass(frozen=True)
class Needs:
    """What a version of the service relies on; `columns` is None when nobody noted it."""

    who: str
    schema: str
    columns: Columns | None

    @classmethod
    def of(cls, who: str, record: Record) -> "Needs":
        """What the revision of a record relies on; `who` names it for people."""
        return cls(who, record.schema, columns_of(record))

    def lacks(self, taken: Taken) -> bool:
        """Whether it can't do without what is taken."""
        if self.columns is None or taken.table not in self.columns:
            return self.columns is None
        own = self.columns[taken.table]
        if not taken.column:
            return True
        if taken.how == "requires":
            # Its INSERT names every column it knows, with NULL for none.
            return own.get(taken.column, "?").endswith("?")
        if taken.how == "retypes" and taken.column in own:
            return not is_wider(taken.type, own[taken.column].removesuffix("?"))
        return taken.column in own


def has_migrations(folder: Path) -> bool:
    """Whether the service has a database that is migrated."""
    return (folder / VERSIONS).is_dir()


def read(folder: Path) -> tuple[Migration, ...]:
    """The migrations of a service, each behind those it comes after; none without db/versions.

    Raises SchemaError for a file that is none, one that is missing, or two heads.
    """
    if not has_migrations(folder):
        return ()
    found: dict[str, Migration] = {}
    for path in sorted((folder / VERSIONS).glob("*.py")):
        if path.name == "__init__.py":
            continue
        migration = parse(path)
        if other := found.get(migration.revision):
            raise SchemaError(
                f"{migration.where}: revision {migration.revision} is that of {other.where} too: "
                "give one of them another"
            )
        found[migration.revision] = migration
    for each in found.values():
        for before in each.after:
            if before not in found:
                raise SchemaError(
                    f"{each.where}: it comes after revision {before}, which no file of "
                    f"{VERSIONS} has"
                )
    try:
        order = TopologicalSorter({key: each.after for key, each in found.items()}).static_order()
        chain = tuple(found[revision] for revision in order)
    except CycleError as error:
        raise SchemaError(
            f"{VERSIONS}: {' → '.join(error.args[1])} come after each other"
        ) from None
    followed = {before for each in chain for before in each.after}
    heads = [each.where for each in chain if each.revision not in followed]
    if len(heads) > 1:
        raise SchemaError(
            f"{' and '.join(heads)} are both the newest: let one come after the other, or join "
            "them with: uv run alembic -c db/alembic.ini merge heads"
        )
    return chain


def parse(path: Path) -> Migration:
    """A migration, read without running it. Raises SchemaError."""
    where = f"{VERSIONS}/{path.name}"
    source = path.read_text("utf-8")
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise SchemaError(f"{where}:{error.lineno}: {error.msg}") from None
    values: dict[str, object] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(target, ast.Name) and value is not None:
                values[target.id] = literal(value)
    revision, after, contract = (values.get(n) for n in ("revision", "down_revision", "contract"))
    if not isinstance(revision, str) or not revision:
        raise SchemaError(f'{where}: it has no revision = "..."')
    if contract is not None and not isinstance(contract, bool):
        raise SchemaError(f"{where}: contract must be True or False")
    listed = after if isinstance(after, tuple | list) else [after]
    before = tuple(each for each in listed if isinstance(each, str))
    title = (ast.get_docstring(tree) or "").partition("\n")[0]
    return Migration(revision, before, path, title, contract, allowances(where, source), source)


def literal(node: ast.expr) -> object:
    """The value of a constant, None when it is no constant."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def allowances(where: str, source: str) -> dict[str, str]:
    """The rules that comments of a migration allow it to break, each with the reason. Raises
    SchemaError for one without."""
    found = {}
    for match in ALLOW.finditer(source):
        line = source.count("\n", 0, match.start()) + 1
        said = REASON.fullmatch(match["rest"].rstrip())
        if not said:
            raise SchemaError(
                f"{where}:{line}: say which rule, and why: "
                "# lint: allow RULE because the table is empty"
            )
        found[said["rule"]] = said["reason"]
    return found


def head(chain: Iterable[Migration]) -> str:
    """The newest revision; "" without migrations."""
    return next((each.revision for each in reversed(tuple(chain))), "")


def until(chain: tuple[Migration, ...], revision: str) -> set[str]:
    """A revision and all before it; none for "". Raises SchemaError when there is no such."""
    known = {each.revision: each for each in chain}
    left = [revision] if revision else []
    found: set[str] = set()
    while left:
        one = left.pop()
        if one not in known:
            raise SchemaError(
                f"{VERSIONS} has no revision {one}, at which the database is, or was: these files "
                "are older than it. Check out the commit that was released, or a newer one"
            )
        if one not in found:
            found.add(one)
            left += known[one].after
    return found


def between(chain: tuple[Migration, ...], older: str, newer: str) -> tuple[Migration, ...]:
    """The migrations that lead from a revision to another, in order; "" is an empty database.

    Raises SchemaError when one of them is unknown.
    """
    done, wanted = until(chain, older), until(chain, newer)
    return tuple(each for each in chain if each.revision in wanted - done)


def resolve(chain: tuple[Migration, ...], current: str | None, named: str) -> str:
    """The revision that is meant by Alembic's ways to name one: `head`, `base` (""), its first
    letters, or `+1` and `-1` from where the database is. Raises SchemaError unless it is one."""
    if named in {"head", "heads"}:
        return head(chain)
    if named == "base":
        return ""
    known = [each.revision for each in chain]
    if re.fullmatch(r"[+-]\d+", named):
        if current is None:
            raise SchemaError(
                f"nobody noted where the database is, so {named} is not known from here"
            )
        at = (known.index(current) if current in known else -1) + int(named)
        if not -1 <= at < len(known):
            raise SchemaError(f"there is no revision {named} from {current or 'the beginning'}")
        return known[at] if at >= 0 else ""
    found = [each for each in known if each == named] or [
        each for each in known if each.startswith(named)
    ]
    if len(found) != 1:
        raise SchemaError(
            f"{VERSIONS} has {'several revisions' if found else 'no revision'} {named}: "
            f"{', '.join(found or known) or 'it is empty'}"
        )
    return found[0]


def printed(folder: Path, start: str, due: tuple[Migration, ...]) -> dict[str, str]:
    """The SQL of each migration, by its revision, of those that Alembic can print without a
    database. Raises ReleaseError for one that it can't, unless the migration says why not."""
    if not due:
        return {}
    try:
        sql = service_python.print_upgrade(folder, start, due[-1].revision)
        return service_python.by_revision(sql)
    except ReleaseError:
        return {each.revision: sql for each in due if (sql := print_one(folder, each))}


def print_one(folder: Path, migration: Migration) -> str:
    """The SQL of a migration; "" when it can't be printed, and says why not."""
    start = ",".join(migration.after) or "base"
    try:
        return service_python.print_upgrade(folder, start, migration.revision)
    except ReleaseError as error:
        if UNPRINTABLE in migration.allowed:
            return ""
        raise ReleaseError(
            f"{migration.where}: Alembic can't print its SQL, so nothing can be said of what it "
            f"does: it asks a database, most likely.\n{error}\n"
            "  Write what it does as SQL, by op.execute; or allow it, having looked yourself: "
            f"# lint: allow {UNPRINTABLE} because ..."
        ) from error


def columns_of(record: Record) -> Columns | None:
    """The columns noted in a record, None when none were."""
    found: Columns | None = json.loads(record.columns) if record.columns else None
    return found


def note(columns: Columns) -> str:
    """The columns as a record keeps them; "" when they are none, or too many to be kept."""
    text = json.dumps(columns, separators=(",", ":"), sort_keys=True) if columns else ""
    return text if len(text.encode()) <= MOST_COLUMNS_BYTES else ""


def stands_between(folder: Path, current: str | None, target: Record) -> list[Migration]:
    """The migrations that keep a release from running on the current schema, the oldest first:
    those applied since that took from it what it needs, or those undone since that it needs.

    A release of which no schema is known is taken to run on any. Raises SchemaError when the files
    don't know a revision, ReleaseError when Alembic can't print them.
    """
    if current is None or not target.schema or current == target.schema:
        return []
    chain = read(folder)
    if missing := between(chain, current, target.schema):
        return list(missing)
    needs = Needs.of("", target)
    applied = between(chain, target.schema, current)
    sql = printed(folder, target.schema, applied)
    effects = {each.revision: effect_of(sql.get(each.revision, "")) for each in applied}
    return [each for each in applied if breaks(chain, each, effects[each.revision], needs)]


def breaks(chain: tuple[Migration, ...], migration: Migration, effect: Effect, needs: Needs) -> str:
    """Why a version can't live with a migration, in words that follow its name; "" when it can."""
    if not is_contract(migration, effect):
        return ""
    if needs.columns is not None and effect.takes:
        lacking = [
            f"{each.table}.{each.column}".rstrip(".") for each in effect.takes if needs.lacks(each)
        ]
        if lacking:
            return f"uses {', '.join(dict.fromkeys(lacking))}"
        if not effect.opaque:
            return ""
    # Of what is no column, or declared by hand, only this can be told: whoever was released with
    # all that leads to the migration was written for it.
    if not needs.schema:
        return "was released by a cookiecutter-cloudrun that did not note what it uses"
    if set(migration.after) <= until(chain, needs.schema):
        return ""
    return f"was released with {needs.schema}, before {' and '.join(migration.after)}"


def refusals(
    chain: tuple[Migration, ...],
    pending: Iterable[Migration],
    effects: Mapping[str, Effect],
    serving: Iterable[Needs],
) -> list[str]:
    """Why migrations can't run yet: each that takes away what a version that serves relies on,
    which is also what a rollback would go to."""
    return [
        f"{each.where}: {each} takes away what the revision {needs.who} relies on, which serves "
        f"now and is what a rollback goes to: it {why}.\n"
        + "".join(f"    {line}\n" for line in lost(each, effects[each.revision]))
        + TWO_RELEASES
        for each in pending
        for needs in serving
        if (why := breaks(chain, each, effects[each.revision], needs))
    ]


def refuse_downgrade(chain: tuple[Migration, ...], to: str, serving: Iterable[Needs]) -> None:
    """Raises SchemaError when a revision that serves needs more than a revision of the database."""
    kept = until(chain, to)
    for needs in serving:
        if needs.schema not in kept:
            after = f"needs {needs.schema}" if needs.schema else "did not note what it needs"
            raise SchemaError(
                f"the revision {needs.who} serves, and {after}: bring back one that needs no more "
                f"than {to or 'an empty database'} first, or release one"
            )


def lost(migration: Migration, effect: Effect) -> list[str]:
    """What a migration takes away, a line each."""
    lines = [f"it {taken}" for taken in effect.takes]
    lines += [each.short for each in effect.opaque]
    return lines or [f"it declares contract = {migration.contract}"]


def is_contract(migration: Migration, effect: Effect) -> bool:
    """Whether it takes something away: what it declares, else what its statements say."""
    if migration.contract is not None:
        return migration.contract
    return bool(effect.takes or effect.opaque)
