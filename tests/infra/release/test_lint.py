"""What would harm a service that runs is found before it does, and nothing else is."""

from pathlib import Path

import pytest
import yaml

from infra.release.lint import LintError, check, lint, postgres_of, refuse
from infra.release.schema import Migration

HERE = Path(__file__).parent
type Case = dict[str, object]


def cases(name: str) -> list[object]:
    """The cases of a file, each called by its SQL."""
    found: list[Case] = yaml.safe_load((HERE / name).read_text("utf-8"))
    return [pytest.param(each, id=" ".join(str(each["sql"]).split())[:70]) for each in found]


def printed(case: Case) -> str:
    """The SQL of a case as Alembic prints it for a migration."""
    sql = f"{str(case['sql']).strip()};\n"
    if case.get("outside"):
        sql = f"COMMIT;\n\n{sql}\nBEGIN;\n"
    marked = "UPDATE alembic_version SET version_num='2' WHERE alembic_version.version_num = '1';"
    return f"BEGIN;\n\n-- Running upgrade 1 -> 2\n\n{sql}\n{marked}\n\nCOMMIT;\n"


def migration(**allowed: str) -> Migration:
    """A migration that may break rules, for reasons."""
    of = {rule.replace("_", "-"): reason for rule, reason in allowed.items()}
    return Migration("2", ("1",), Path("db/versions/2_it.py"), "change it", None, of, "")


@pytest.mark.parametrize("case", cases("lint_bad.yaml"))
def test_what_does_harm_is_found(case: Case) -> None:
    found = lint(printed(case))
    assert [each.rule for each in found] == case["rules"]
    assert all(each.why and each.way for each in found)


@pytest.mark.parametrize("case", cases("lint_good.yaml"))
def test_what_does_none_is_left_alone(case: Case) -> None:
    assert [(each.rule, each.statement.short) for each in lint(printed(case))] == []


def test_a_finding_says_what_where_why_and_what_to_do_instead() -> None:
    sql = {"2": printed({"sql": "SELECT 1;\nALTER TABLE items\n  ALTER COLUMN size TYPE BIGINT"})}
    with pytest.raises(LintError) as refused:
        refuse(check([migration()], sql))
    said = str(refused.value)
    assert "db/versions/2_it.py: changing-column-type, in 2 (change it)" in said
    assert "ALTER TABLE items ALTER COLUMN size TYPE BIGINT" in said
    assert "blocks reads and writes" in said
    assert "add a new column" in said
    assert "# lint: allow changing-column-type because ..." in said


def test_a_migration_may_break_the_rule_that_it_names() -> None:
    sql = {
        "2": printed({"sql": "ALTER TABLE items ALTER COLUMN size TYPE BIGINT; LOCK TABLE items"})
    }
    allowed = migration(changing_column_type="the table is empty")
    assert [each.broken.rule for each in check([allowed], sql)] == ["lock-table"]
    refuse([])


def test_the_version_of_postgresql_counts() -> None:
    assert postgres_of("POSTGRES_16") == "16"
    assert postgres_of("") == "17"
    sql = printed({"sql": "ALTER TABLE items ADD COLUMN size INTEGER DEFAULT 0 NOT NULL"})
    assert lint(sql, "17") == []
    assert [each.rule for each in lint(sql, "10")] == ["adding-field-with-default"]
