"""Migrations, checked before they run: squawk on the SQL that Alembic prints, and our own rules.

A finding says the file, the statement, why it harms a service that runs, and the safe way. A
migration may break a rule that it names in a comment with a reason:
`# lint: allow changing-column-type because the table is empty`.
"""

import json
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infra.project import ProjectError
from infra.release import ReleaseError
from infra.release.lint_rules import WAYS, Broken, broken, table_of
from infra.release.schema import Migration
from infra.release.statements import Statement, creates, split

POSTGRES = "17"
# squawk would take it as an override, and one without a reason.
IGNORE = re.compile(r"squawk-ignore", re.IGNORECASE)
# It says less than what is said of the same statement besides.
GENERAL = "constraint-missing-not-valid"
# Of these a table that is new makes nothing better.
ALWAYS = {"ban-concurrent-index-creation-in-transaction", "syntax-error"}


@dataclass(frozen=True)
class Finding:
    """A rule that a migration breaks."""

    migration: Migration
    broken: Broken

    def __str__(self) -> str:
        rule = self.broken.rule
        return (
            f"{self.migration.where}: {rule}, in {self.migration}\n"
            f"    {self.broken.statement.short}\n"
            f"  {self.broken.why}\n"
            f"  The safe way: {self.broken.way}.\n"
            f"  Where it does no harm: # lint: allow {rule} because ..."
        )


class LintError(ReleaseError):
    """Migrations that would harm a service that runs; the text has every finding."""


def check(
    migrations: Iterable[Migration], sql: Mapping[str, str], postgres: str = POSTGRES
) -> list[Finding]:
    """What is wrong with migrations, on a major version of PostgreSQL, given their SQL by revision;
    one of which there is none is left out. Raises ProjectError without squawk."""
    return [
        Finding(each, one)
        for each in migrations
        if each.revision in sql
        for one in lint(sql[each.revision], postgres)
        if one.rule not in each.allowed
    ]


def refuse(findings: list[Finding]) -> None:
    """Raises LintError when there are any."""
    if findings:
        said = "\n".join(str(each) for each in findings)
        count = (
            "a migration"
            if len({each.migration.revision for each in findings}) == 1
            else "migrations"
        )
        raise LintError(f"{count} would harm the service while it runs:\n{said}")


def lint(sql: str, postgres: str = POSTGRES) -> list[Broken]:
    """The rules that the SQL of a migration breaks, in the order of its statements."""
    sql = IGNORE.sub("squawk", sql)
    statements = list(split(sql))
    found = [*by_squawk(sql, statements, postgres), *broken(statements)]
    made: dict[str, int] = {}
    for index, each in enumerate(statements):
        for table in creates(each):
            made.setdefault(table, index)
    harmful = [
        each
        for each in found
        if each.rule in ALWAYS
        or made.get(table_of(each.statement), len(statements)) > statements.index(each.statement)
    ]
    others = {place_of(each) for each in harmful if each.rule != GENERAL}
    unique = {(each.rule, place_of(each)): each for each in harmful}
    told = (
        each for each in unique.values() if each.rule != GENERAL or place_of(each) not in others
    )
    return sorted(told, key=place_of)


def place_of(broken: Broken) -> int:
    """Where in the SQL the statement begins."""
    return broken.statement.tokens[0].start


def by_squawk(sql: str, statements: list[Statement], postgres: str) -> list[Broken]:
    """What squawk finds, of the rules that we heed. Raises ReleaseError when it does not run."""
    command = [find_squawk(), "--reporter", "json", f"--pg-version={postgres}"]
    done = subprocess.run(
        [*command, "--stdin-filepath", "migration.sql"],
        input=sql,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    try:
        findings: list[dict[str, object]] = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise ReleaseError(f"squawk failed: {done.stderr.strip() or done.stdout}") from None
    lines = [0]
    for line in sql.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    found = []
    for each in findings:
        rule = str(each["rule_name"])
        if rule in WAYS:
            offset = lines[int(str(each["line"]))] + int(str(each["column"]))
            at = [one for one in statements if one.tokens[0].start <= offset]
            found.append(
                Broken(rule, at[-1] if at else statements[0], str(each["message"]), WAYS[rule])
            )
    return found


def find_squawk() -> str:
    """The program, which the package squawk-cli brings. Raises ProjectError."""
    found = shutil.which("squawk", path=sysconfig.get_path("scripts")) or shutil.which("squawk")
    if not found:
        raise ProjectError("squawk is not installed, which checks migrations: uv sync")
    return found


def postgres_of(version: str) -> str:
    """The major version of a database's version: `POSTGRES_17`."""
    return version.rpartition("_")[2] if version.rpartition("_")[2].isdigit() else POSTGRES
