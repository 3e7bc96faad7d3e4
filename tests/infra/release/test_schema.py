"""The history in db/versions, and which version of a service can live with which migration."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.release import schema
from infra.release.record import Record
from infra.release.schema import Needs, SchemaError
from infra.release.statements import effect_of

type Write = Callable[..., Path]

ITEMS = {"items": {"id": "UUID", "name": "VARCHAR(255)", "note": "VARCHAR(20)?", "size": "INTEGER"}}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes migrations, each a revision with what it comes after and further lines."""

    def all_of(*migrations: tuple[str, object, str]) -> Path:
        folder = tmp_path / schema.VERSIONS
        folder.mkdir(parents=True, exist_ok=True)
        for revision, after, more in migrations:
            text = f'"""change {revision}"""\nrevision: str = "{revision}"\n'
            (folder / f"{revision}_it.py").write_text(f"{text}down_revision = {after!r}\n{more}\n")
        return tmp_path

    return all_of


def test_they_come_in_the_order_in_which_they_run(write: Write) -> None:
    folder = write(("z1", None, ""), ("a2", "z1", ""), ("m3", "a2", "contract = True"))
    chain = schema.read(folder)
    assert [str(each) for each in chain] == ["z1 (change z1)", "a2 (change a2)", "m3 (change m3)"]
    assert [each.contract for each in chain] == [None, None, True]
    assert schema.head(chain) == "m3"
    assert [each.revision for each in schema.between(chain, "z1", "m3")] == ["a2", "m3"]
    assert [each.revision for each in schema.between(chain, "", "a2")] == ["z1", "a2"]
    assert schema.between(chain, "m3", "a2") == ()


def test_two_branches_that_were_joined_are_one_history(write: Write) -> None:
    folder = write(("a", None, ""), ("b", "a", ""), ("c", "a", ""), ("d", ("b", "c"), ""))
    chain = schema.read(folder)
    assert schema.head(chain) == "d"
    assert {each.revision for each in schema.between(chain, "b", "d")} == {"c", "d"}


def test_a_service_without_a_database_has_none(tmp_path: Path) -> None:
    assert schema.read(tmp_path) == ()
    assert schema.head(()) == ""


@pytest.mark.parametrize(
    ("migrations", "said"),
    [
        ([("a", None, ""), ("b", "a", ""), ("c", "a", "")], "b_it.py and db/versions/c_it.py are"),
        ([("a", "gone", "")], "a_it.py: it comes after revision gone, which no file"),
        ([("a", "b", ""), ("b", "a", "")], "come after each other"),
        ([("a", None, "x = (")], "a_it.py:4: '(' was never closed"),
        ([("", None, "")], '_it.py: it has no revision = "..."'),
        ([("a", None, "contract = 'yes'")], "a_it.py: contract must be True or False"),
        ([("a", None, "# lint: allow x")], "a_it.py:4: say which rule, and why"),
        ([("a", None, "# lint: allow x because")], "a_it.py:4: say which rule, and why"),
    ],
)
def test_what_is_wrong_with_them_is_said(
    write: Write, migrations: list[tuple[str, object, str]], said: str
) -> None:
    with pytest.raises(SchemaError) as failed:
        schema.read(write(*migrations))
    assert said in str(failed.value)


def test_a_revision_that_the_files_do_not_have_is_said(write: Write) -> None:
    chain = schema.read(write(("a", None, "")))
    with pytest.raises(SchemaError, match="has no revision later"):
        schema.between(chain, "later", "a")


@pytest.mark.parametrize(
    ("named", "current", "meant"),
    [
        ("head", None, "c3333"),
        ("base", None, ""),
        ("b2222", None, "b2222"),
        ("b2", None, "b2222"),
        ("+1", "a1111", "b2222"),
        ("+1", "", "a1111"),
        ("-1", "b2222", "a1111"),
        ("-1", "a1111", ""),
    ],
)
def test_a_revision_is_named_as_alembic_takes_it(
    write: Write, named: str, current: str | None, meant: str
) -> None:
    chain = schema.read(write(("a1111", None, ""), ("b2222", "a1111", ""), ("c3333", "b2222", "")))
    assert schema.resolve(chain, current, named) == meant


@pytest.mark.parametrize(
    ("named", "current", "said"),
    [
        ("nothing", "a1", "no revision nothing: a1, a2"),
        ("a", "a1", "several revisions a: a1, a2"),
        ("+1", None, "nobody noted where the database is"),
        ("+2", "a2", "there is no revision \\+2 from a2"),
        ("-3", "a2", "there is no revision -3 from a2"),
    ],
)
def test_a_revision_that_is_none_is_said(
    write: Write, named: str, current: str | None, said: str
) -> None:
    chain = schema.read(write(("a1", None, ""), ("a2", "a1", "")))
    with pytest.raises(SchemaError, match=said):
        schema.resolve(chain, current, named)


def test_nothing_is_undone_that_a_revision_needs_which_serves(write: Write) -> None:
    chain = schema.read(write(("a", None, ""), ("b", "a", "")))
    schema.refuse_downgrade(chain, "a", [Needs("orders-1", "a", None)])
    with pytest.raises(SchemaError, match="orders-1 serves, and needs b"):
        schema.refuse_downgrade(chain, "a", [Needs("orders-1", "b", None)])
    with pytest.raises(SchemaError, match="orders-1 serves, and did not note"):
        schema.refuse_downgrade(chain, "a", [Needs("orders-1", "", None)])


def test_a_migration_says_what_it_may_break_and_why(write: Write) -> None:
    folder = write(("a", None, "# lint: allow changing-column-type because the table is empty"))
    (only,) = schema.read(folder)
    assert only.allowed == {"changing-column-type": "the table is empty"}


@pytest.mark.parametrize(
    ("sql", "taken"),
    [
        ("ALTER TABLE items DROP COLUMN note", ["drops items.note"]),
        ('ALTER TABLE ONLY public."items" DROP "note", ADD x int', ["drops items.note"]),
        ("DROP TABLE IF EXISTS items, other.things", ["drops items", "drops other.things"]),
        ("ALTER TABLE items RENAME COLUMN note TO notes", ["renames items.note"]),
        ("ALTER TABLE items RENAME TO things", ["renames items"]),
        ("ALTER TABLE items SET SCHEMA old", ["renames items"]),
        ("ALTER TABLE items ALTER note TYPE TEXT", ["retypes items.note"]),
        ("ALTER TABLE items ALTER COLUMN note SET NOT NULL", ["requires items.note"]),
        ("ALTER TABLE items ADD COLUMN x int NOT NULL", ["requires items.x"]),
        ("ALTER TABLE items ADD COLUMN x int DEFAULT 0 NOT NULL", []),
        ("ALTER TABLE items ADD x int DEFAULT 0; ALTER TABLE items ALTER x SET NOT NULL", []),
        ("ALTER TABLE items ADD COLUMN x int", []),
        ("ALTER TABLE items DROP CONSTRAINT c, RENAME CONSTRAINT a TO b", []),
        ("ALTER TABLE items ALTER COLUMN note DROP NOT NULL", []),
        ("CREATE TABLE t (id int); ALTER TABLE t DROP COLUMN id; DROP TABLE t", []),
        ("DO $$ BEGIN ALTER TABLE items DROP COLUMN note; END $$", ["drops items.note"]),
        ("CREATE FUNCTION f() AS $x$ BEGIN DROP TABLE items; END $x$", []),
        ("INSERT INTO t VALUES ('it''s; DROP TABLE items')", []),
        ("-- DROP TABLE items;\nSELECT 1 /* ; DROP TABLE items */", []),
        (r"SELECT E'\'; DROP TABLE items'", []),
        ("DROP INDEX i; DROP TRIGGER t ON items", []),
    ],
)
def test_what_a_statement_takes_away(sql: str, taken: list[str]) -> None:
    assert [str(each) for each in effect_of(sql).takes] == taken


@pytest.mark.parametrize(
    ("sql", "is_told"),
    [
        ("DROP TYPE mood", True),
        ("ALTER TYPE mood RENAME VALUE 'a' TO 'b'", True),
        ("ALTER TYPE mood ADD VALUE 'c'", False),
        ("DROP VIEW v", True),
        ("DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1", False),
        ("DROP MATERIALIZED VIEW v; CREATE MATERIALIZED VIEW w AS SELECT 1", True),
    ],
)
def test_what_is_taken_away_may_be_no_column(sql: str, is_told: bool) -> None:
    assert bool(effect_of(sql).opaque) == is_told


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("ALTER TABLE items DROP COLUMN note", "uses items.note"),
        ("ALTER TABLE items DROP COLUMN unknown", ""),
        ("DROP TABLE items", "uses items"),
        ("DROP TABLE others", ""),
        ("ALTER TABLE items ALTER note SET NOT NULL", "uses items.note"),
        ("ALTER TABLE items ALTER name SET NOT NULL", ""),
        ("ALTER TABLE items ADD x int NOT NULL", "uses items.x"),
        ("ALTER TABLE others ADD x int NOT NULL", ""),
        ("ALTER TABLE items ALTER name TYPE character varying(300)", ""),
        ("ALTER TABLE items ALTER name TYPE VARCHAR(100)", "uses items.name"),
        ("ALTER TABLE items ALTER name TYPE TEXT", ""),
        ("ALTER TABLE items ALTER size TYPE bigint", ""),
        ("ALTER TABLE items ALTER size TYPE smallint", "uses items.size"),
        ("DROP TYPE mood", "was released with 1, before 2"),
        ("ALTER TABLE items ADD x int", ""),
    ],
)
def test_a_version_can_live_with_it_or_not(write: Write, sql: str, why: str) -> None:
    chain = schema.read(write(("1", None, ""), ("2", "1", ""), ("3", "2", "")))
    needs = Needs.of("orders-1", Record(schema="1", columns=schema.note(ITEMS)))
    assert schema.breaks(chain, chain[2], effect_of(sql), needs) == why


def test_what_is_declared_goes_before_what_is_read(write: Write) -> None:
    folder = write(("1", None, ""), ("2", "1", "contract = True"), ("3", "2", "contract = False"))
    chain = schema.read(folder)
    needs = Needs.of("orders-1", Record(schema="", columns=schema.note(ITEMS)))
    drop = effect_of("ALTER TABLE items DROP COLUMN note")
    assert "did not note" in schema.breaks(chain, chain[1], effect_of("SELECT 1"), needs)
    assert schema.breaks(chain, chain[2], drop, needs) == ""


def test_who_needs_what_was_undone_can_not_run(write: Write) -> None:
    folder = write(("1", None, ""), ("2", "1", ""), ("3", "2", ""))
    between = schema.stands_between(folder, "1", Record(schema="3"))
    assert [each.revision for each in between] == ["2", "3"]
    assert [each.revision for each in schema.stands_between(folder, "", Record(schema="1"))] == [
        "1"
    ]


@pytest.mark.parametrize(("current", "released"), [("2", "2"), (None, "1"), ("2", "")])
def test_who_has_the_same_schema_or_is_not_known_can_run(
    write: Write, current: str | None, released: str
) -> None:
    folder = write(("1", None, ""), ("2", "1", ""))
    assert schema.stands_between(folder, current, Record(schema=released)) == []


def test_who_was_released_with_the_step_before_can_live_with_it(write: Write) -> None:
    chain = schema.read(write(("1", None, ""), ("2", "1", ""), ("3", "2", "contract = True")))
    effect = effect_of("SELECT 1")
    assert schema.breaks(chain, chain[2], effect, Needs("orders-1", "2", None)) == ""
    assert schema.breaks(chain, chain[2], effect, Needs("orders-1", "1", None)) != ""


def test_a_refusal_names_the_migration_the_revision_the_column_and_the_way(write: Write) -> None:
    chain = schema.read(write(("1", None, ""), ("2", "1", "")))
    effects = {"2": effect_of("ALTER TABLE items DROP COLUMN note")}
    needs = Needs("orders-abc-1", "1", ITEMS)
    (said,) = schema.refusals(chain, chain[1:], effects, [needs])
    assert "db/versions/2_it.py: 2 (change 2)" in said
    assert "orders-abc-1" in said
    assert "it uses items.note" in said
    assert "Release the code that no longer uses it first" in said
    assert schema.refusals(chain, chain[1:], effects, [Needs("orders-2", "1", {"items": {}})]) == []


def test_columns_that_would_fill_a_revision_are_not_noted() -> None:
    many = {f"table_{number}": {"column" * 10: "TEXT"} for number in range(2000)}
    assert schema.note(many) == ""
    assert schema.note({}) == ""
    record = Record(columns=schema.note(ITEMS))
    assert schema.columns_of(Record.read(record.annotations())) == ITEMS
