"""What a release is going to do to the database, known and judged before anything is built.

A migration that would harm the service while it runs is refused, and one that takes away what a
revision that serves relies on.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from infra.release import ReleaseError, lint, migrate, schema, service_python
from infra.release.live import get_revision
from infra.release.memory import Split
from infra.release.record import Record
from infra.release.schema import Migration, Needs
from infra.release.service_python import Columns
from infra.release.statements import effect_of
from infra.resources.base import Work


@dataclass(frozen=True)
class Pending:
    """The migrations that did not run yet, the oldest first, and what the version they belong to
    relies on. `current` is where the database is: "" empty, None not known."""

    current: str | None = None
    head: str = ""
    columns: Columns = field(default_factory=dict)
    migrations: tuple[Migration, ...] = ()
    contracts: tuple[Migration, ...] = ()
    """Those of them that take something away."""


def find(work: Work, folder: Path, serving: Split, *, to: str = "") -> Pending:
    """What is pending, up to a revision, else to the newest, judged.

    Raises SchemaError for files that are wrong, LintError for what would harm the service, and
    ReleaseError for what a revision that serves relies on.
    """
    chain = schema.read(folder)
    if not chain:
        return Pending()
    needs = list(needs_of(work, serving))
    current = where(work, needs)
    head = to or schema.head(chain)
    due = () if current is None else schema.between(chain, current, head)
    with ThreadPoolExecutor() as both:
        columns = both.submit(service_python.columns, folder)
        sql = schema.printed(folder, current or migrate.BASE, due)
    version = lint.postgres_of(work.cloud.environment.database.version)
    lint.refuse(lint.check(due, sql, version))
    effects = {each.revision: effect_of(sql.get(each.revision, "")) for each in due}
    if refused := schema.refusals(chain, due, effects, needs):
        raise ReleaseError("\n".join(refused))
    contracts = tuple(each for each in due if schema.is_contract(each, effects[each.revision]))
    return Pending(current, schema.head(chain), columns.result(), due, contracts)


def check_all(folder: Path) -> list[lint.Finding]:
    """What is wrong with any migration of a service, whether it ran or not. Raises SchemaError, and
    ReleaseError with what Alembic said."""
    chain = schema.read(folder)
    return lint.check(chain, schema.printed(folder, migrate.BASE, chain))


def needs_of(work: Work, serving: Split) -> Iterable[Needs]:
    """What each revision that serves relies on; a placeholder relies on nothing."""
    for name, _ in serving:
        revision = get_revision(work, name)
        record = Record.read(revision.annotations) if revision else Record()
        if record != Record():
            yield Needs.of(name, record)


def where(work: Work, needs: list[Needs]) -> str | None:
    """Where the database is: as the job has it noted, else what a revision that serves was released
    with; "" when nothing was released yet, None when nobody noted it."""
    noted = migrate.current(work)
    if noted is not None:
        return noted
    if not needs:
        return ""
    return next((each.schema for each in needs if each.schema), None)
