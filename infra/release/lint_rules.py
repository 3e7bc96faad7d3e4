"""Which findings of squawk stop a release, what squawk does not know, and the safe way for each.

Only what blocks writers or readers, rewrites a table or breaks the version that runs: how SQL
should look is nobody's business here. What drops a column is for schema.py, which knows who uses
it. https://squawkhq.com/docs/rules
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from infra.release.statements import Reader, Statement

IN_BATCHES = "change the rows in batches, each its own transaction, by a program beside the release"
AUTOCOMMIT = "with op.get_context().autocommit_block():"
NOT_VALID_THEN = (
    "add it NOT VALID (postgresql_not_valid=True), and in a later migration "
    "op.execute('ALTER TABLE … VALIDATE CONSTRAINT …')"
)
NEW_COLUMN = (
    "add a new column, have the code write both, copy the old one's values in batches, have the "
    "code read the new one, and drop the old one in a later release"
)
INDEX_FIRST = (
    f"create a unique index first, in a migration of its own: {AUTOCOMMIT} op.create_index(…, "
    "unique=True, postgresql_concurrently=True); then op.execute('ALTER TABLE … ADD CONSTRAINT … "
    "UNIQUE USING INDEX …')"
)
CONCURRENTLY = (
    f"in a migration of its own: {AUTOCOMMIT} op.create_index(…, postgresql_concurrently=True)"
)

WAYS = {
    "adding-field-with-default": "add the column without the default, set the default for new rows "
    "by op.alter_column, fill the others in batches",
    "adding-foreign-key-constraint": NOT_VALID_THEN,
    "adding-not-nullable-field": "add CHECK (… IS NOT NULL) NOT VALID; in a later migration "
    "VALIDATE CONSTRAINT, then SET NOT NULL, which needs no scan any more",
    "adding-required-field": "give it a server_default, or add it nullable, fill it, and require "
    "it in a later release",
    "adding-serial-primary-key-field": INDEX_FIRST.replace("UNIQUE USING", "PRIMARY KEY USING"),
    "ban-alter-domain-with-add-constraint": "add the constraint to the columns, NOT VALID first",
    "ban-concurrent-index-creation-in-transaction": CONCURRENTLY,
    "ban-drop-database": "drop it by hand, when nobody needs it",
    "ban-truncate-cascade": "name the tables that are to be emptied",
    "changing-column-type": NEW_COLUMN
    + ". What only grows a VARCHAR rewrites nothing, and may be allowed",
    "constraint-missing-not-valid": NOT_VALID_THEN,
    "disallowed-unique-constraint": INDEX_FIRST,
    "renaming-column": NEW_COLUMN,
    "renaming-table": "keep the table's name and give the model __tablename__; or create the new "
    "table, write both, copy, and drop the old one in a later release",
    "renaming-object": "create it under the new name, and drop the old one in a later release",
    "require-concurrent-index-creation": CONCURRENTLY,
    "require-concurrent-index-deletion": CONCURRENTLY.replace("create_index", "drop_index"),
    "require-concurrent-partition-attach": "add a CHECK constraint that matches the partition, "
    "first NOT VALID, then validated",
    "require-concurrent-partition-detach": f"{AUTOCOMMIT} op.execute('… DETACH PARTITION … "
    "CONCURRENTLY')",
    "require-concurrent-reindex": f"{AUTOCOMMIT} op.execute('REINDEX … CONCURRENTLY …')",
    "syntax-error": "it is no SQL that PostgreSQL's grammar has; if PostgreSQL takes it, allow it",
}

REWRITES = re.compile(
    r"VACUUM \(?.*\bFULL\b|CLUSTER\b"
    r"|ALTER TABLE .* SET (LOGGED|UNLOGGED|TABLESPACE|ACCESS METHOD)\b"
)
OUTSIDE_ONLY = re.compile(
    r"(DROP INDEX|REINDEX|ALTER TABLE .* DETACH PARTITION)\b.*\bCONCURRENTLY\b|VACUUM\b"
)


@dataclass(frozen=True)
class Broken:
    """A rule that a statement breaks: why that matters, and the safe way."""

    rule: str
    statement: Statement
    why: str
    way: str


def broken(statements: list[Statement]) -> Iterator[Broken]:
    """What squawk does not find in the statements of a migration."""
    for each in statements:
        yield from of_one(each)
    yield from of_transactions(statements)


def of_one(statement: Statement) -> Iterator[Broken]:
    """What a statement breaks by itself."""
    words = statement.words
    if REWRITES.match(words):
        yield Broken(
            "table-rewrite",
            statement,
            "It writes the whole table anew, and nobody can read it meanwhile.",
            "pg_repack or pg_squeeze does it beside the service; or do it while nobody is served",
        )
    if statement.starts("LOCK", "LOCK TABLE"):
        yield Broken(
            "lock-table",
            statement,
            "It keeps others from the table until the whole migration is done.",
            "leave it out: each statement takes the lock that it needs, when it needs it",
        )
    if statement.starts("UPDATE", "DELETE FROM") and " WHERE " not in f"{words} ":
        yield Broken(
            "every-row",
            statement,
            "It holds a lock on every row until the migration is done: whoever writes one waits.",
            IN_BATCHES,
        )
    if statement.starts("TRUNCATE"):
        yield Broken(
            "truncate",
            statement,
            "It deletes every row, and nobody can read the table until the migration is done.",
            "drop what nobody uses, or delete in batches",
        )
    if statement.starts("DROP", "ALTER TABLE") and re.search(r"\bDROP\b.* CASCADE\b", words):
        yield Broken(
            "drop-cascade",
            statement,
            "It drops whatever relies on it too, which nothing here says and nothing checks.",
            "drop each of them by name, before it",
        )
    if statement.starts("REFRESH MATERIALIZED VIEW") and "CONCURRENTLY" not in words:
        yield Broken(
            "require-concurrent-refresh",
            statement,
            "Nobody can read the view until it is refreshed.",
            "give it a unique index, and REFRESH MATERIALIZED VIEW CONCURRENTLY",
        )


def of_transactions(statements: list[Statement]) -> Iterator[Broken]:
    """What is wrong with what is inside and what is outside of the migration's transaction."""
    inside: list[Statement] = []
    outside: list[Statement] = []
    is_inside = True
    # Alembic prints BEGIN before each transaction; one that prints none has no transaction.
    for each in statements:
        if each.starts("BEGIN", "COMMIT"):
            is_inside = each.starts("BEGIN")
        elif "ALEMBIC_VERSION" not in each.words:
            (inside if is_inside else outside).append(each)
    for each in inside:
        if OUTSIDE_ONLY.match(each.words):
            yield Broken(
                "concurrently-in-transaction",
                each,
                "PostgreSQL refuses it in a transaction, and each migration is one.",
                f"in a migration of its own: {AUTOCOMMIT} op.execute(…)",
            )
    may_repeat = all(re.search(r"\bIF (NOT )?EXISTS\b", each.words) for each in outside)
    if outside and (inside or (len(outside) > 1 and not may_repeat)):
        yield Broken(
            "autocommit-alone",
            outside[0],
            "What comes before an autocommit block is committed by it: when the rest fails, the "
            "migration can't be run again.",
            "give it a migration of its own; several statements, each IF NOT EXISTS or IF EXISTS",
        )


def table_of(statement: Statement) -> str:
    """The table that a statement changes, "" when it is none, or more than one."""
    reader = Reader(list(statement.tokens))
    if statement.starts("ALTER TABLE"):
        reader.skip("ALTER", "TABLE")
        reader.skip("IF", "EXISTS")
        reader.skip("ONLY")
    elif statement.starts("CREATE INDEX", "CREATE UNIQUE INDEX"):
        reader.skip_past("ON")
        reader.skip("ONLY")
    elif statement.starts("DELETE FROM", "LOCK TABLE", "UPDATE", "TRUNCATE", "LOCK"):
        reader.skip("DELETE", "FROM")
        reader.skip("LOCK")
        reader.skip("TRUNCATE")
        reader.skip("UPDATE")
        reader.skip("TABLE")
        reader.skip("ONLY")
    else:
        return ""
    return reader.name()
