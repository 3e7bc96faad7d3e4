"""The cost note: the arithmetic of the table, with its date; nothing for the local cloud."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.cost import PRICES, Prices, database, instances, items, note, prices
from infra.environment import Environment
from infra.tasks.local_cloud import HOST_VARIABLE
from tests.infra.services import declare, make_folder
from tests.infra.worlds import hollow_cloud


def month(environment: Environment) -> float:
    """All that is priced."""
    return sum(each.month or 0 for each in items(environment, prices()))


def sized(**database: object) -> Environment:
    """An environment in the region that the table is of."""
    return declare(region="us-central1", database=database)


@pytest.mark.parametrize(
    ("declared", "machine", "disk"),
    [
        # 730 h * 0.0105
        ({"tier": "db-f1-micro"}, 7.665, 1.7),
        # 730 h * 0.035
        ({"tier": "db-g1-small"}, 25.55, 1.7),
        # 730 h * (1 * 0.0413 + 3.75 * 0.007)
        ({"tier": "db-custom-1-3840"}, 49.3115, 1.7),
        # 730 h * (2 * 0.0413 + 7.5 * 0.007) * 2
        ({"tier": "db-custom-2-7680", "availability": "REGIONAL"}, 197.246, 3.4),
        # 730 h * (2 * 0.0537 + 16 * 0.0091)
        ({"tier": "db-perf-optimized-N-2", "edition": "ENTERPRISE_PLUS"}, 184.69, 1.7),
    ],
)
def test_a_database_costs_its_machines_and_its_disk(
    declared: dict[str, object], machine: float, disk: float
) -> None:
    first, second = database(sized(**declared).database, prices())
    assert first.month == pytest.approx(machine)
    assert second.month == pytest.approx(disk)


@pytest.mark.parametrize(
    ("region", "service", "cost"),
    [
        # 730 * 3600 s * (1 + 0.5) * 0.0000025
        ("europe-west1", {"min_instances": 1}, 9.855),
        ("europe-west1", {"min_instances": 3, "cpu": "2", "memory": "2Gi"}, 78.84),
        # Tier 2.
        ("europe-west3", {"min_instances": 1}, 13.797),
    ],
)
def test_warm_instances_cost_while_they_are_idle(
    region: str, service: dict[str, object], cost: float
) -> None:
    given = declare(region=region, service={"name": "orders", **service})
    assert instances(given.service, region, prices()).month == pytest.approx(cost)


def test_the_note_adds_up_and_says_how_old_its_prices_are() -> None:
    given = declare(
        region="us-central1",
        service={"name": "orders", "min_instances": 1},
        database={"tier": "db-custom-2-7680", "availability": "REGIONAL"},
    )
    said = note(given)
    first, *rest = said.splitlines()
    assert first.startswith(
        f"Costs about {month(given):.0f} USD a month, at list prices of 2025-06"
    )
    assert "--no-cost" in first
    assert [line.split()[-1] for line in rest] == ["197", "3", "10"]


def test_what_sleeps_is_no_line() -> None:
    assert "idle" not in note(sized(tier="db-g1-small"))


def test_what_the_table_does_not_have_is_said() -> None:
    given = sized(tier="db-c4a-highmem-4", edition="ENTERPRISE_PLUS")
    assert "Costs more than 2 USD" in note(given)
    assert re.search(r"db-c4a-highmem-4 +not in the table", note(given))


def test_another_region_is_priced_as_the_table_s_own_and_said_so() -> None:
    assert "The database is priced as in us-central1, not europe-west1." in note(declare())
    assert "priced as" not in note(sized())


def test_the_local_cloud_costs_nothing() -> None:
    assert note(declare(name="local")) == ""


def test_every_price_is_dated_and_has_its_source() -> None:
    table = prices()
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", table.taken)
    for source in (table.cloud_sql.source, table.cloud_run.source):
        assert "https://cloud.google.com/" in source


def test_a_price_the_table_lacks_is_an_error() -> None:
    given: dict[str, Any] = yaml.safe_load(PRICES.read_text("utf-8"))
    del given["cloud_sql"]["storage_month"]
    with pytest.raises(ValueError, match="storage_month"):
        Prices.model_validate(given)


def test_provision_notes_it_unless_told_not_to(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "orders")
    (folder / "environments").mkdir()
    (folder / "pyproject.toml").touch()
    (folder / "tasks.py").write_text("from infra.tasks import namespace as namespace\n")
    text = "project: acme-stg\nregion: us-central1\nservice:\n  name: orders\n"
    for name in ("stg", "local"):
        (folder / "environments" / f"{name}.yaml").write_text(text)
    with hollow_cloud(tmp_path / "cloud") as cloud:

        def says(*options: str) -> bool:
            answer = subprocess.run(
                [sys.executable, "-m", "invoke", "provision", "--check", *options],
                cwd=folder,
                env={**os.environ, HOST_VARIABLE: cloud.host},
                capture_output=True,
                text=True,
                encoding="utf-8",
                check=True,
            )
            return "Costs about 27 USD a month" in answer.stdout

        assert says("--env", "stg")
        assert not says("--env", "stg", "--no-cost")
        assert not says("--env", "local")
        (folder / "invoke.yaml").write_text("cost: false\n")
        assert not says("--env", "stg")
