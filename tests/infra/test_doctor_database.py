"""The arithmetic of connections: instances times pool, against what the database has."""

from pathlib import Path

import pytest

from infra.cloud import Cloud
from infra.doctor.base import Context, State, Unreadable
from infra.doctor.database import available, connections, fix, pool_of
from infra.doctor.examination import look
from infra.environment import load
from infra.sql_tiers import cpus, megabytes
from tests.infra.services import SETTINGS, declare, make_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service's, whose settings give a pool of 20 and no more."""
    return make_folder(tmp_path / "orders")


def context(folder: Path, **fields: object) -> Context:
    """A context of which only the files are asked."""
    environment = declare(**fields)
    return Context(environment, folder, Cloud(environment, "127.0.0.1:1"), [])


def instances(most: int) -> dict[str, object]:
    """A service with so many instances at most."""
    return {"name": "orders", "max_instances": most}


@pytest.mark.parametrize(
    ("most", "database", "text"),
    [
        (2, {"tier": "db-g1-small"}, "= 40 connections of the 50 that db-g1-small has"),
        (10, {"tier": "db-custom-2-7680"}, "= 200 connections of the 400 that db-custom-2-7680"),
        (
            2,
            {"tier": "db-f1-micro", "flags": {"max_connections": "43"}},
            "= 40 connections of the 43 that database.flags.max_connections gives",
        ),
    ],
)
def test_what_fits_is_said_with_its_arithmetic(
    folder: Path, most: int, database: dict[str, object], text: str
) -> None:
    (found,) = connections(context(folder, service=instances(most), database=database))
    assert found.state is State.OK
    assert found.text.startswith(f"{most} instances × (pool 20 + overflow 0)")  # noqa: RUF001
    assert text in found.text


@pytest.mark.parametrize(
    ("most", "database"),
    [
        (3, {"tier": "db-g1-small"}),
        (2, {"tier": "db-f1-micro"}),
        (2, {"tier": "db-g1-small", "flags": {"max_connections": "42"}}),
    ],
)
def test_what_does_not_fit_fails(folder: Path, most: int, database: dict[str, object]) -> None:
    (found,) = connections(context(folder, service=instances(most), database=database))
    assert found.state is State.FAILED


def test_each_mend_makes_it_fit(folder: Path) -> None:
    small = {"tier": "db-g1-small"}
    given = context(folder, service=instances(10), database=small)
    (found,) = connections(given)
    assert found.text == (
        "10 instances × (pool 20 + overflow 0) = 200 connections of the 50 that "  # noqa: RUF001
        "db-g1-small has, 3 of which are superusers'"
    )
    assert found.fix == (
        'Set database.flags.max_connections: "203", or service.max_instances: 2, '
        'or config.DATABASE__POOL_SIZE: "4", or a larger database.tier'
    )
    mends: list[dict[str, object]] = [
        {"database": {**small, "flags": {"max_connections": "203"}}},
        {"service": instances(2)},
        {"config": {"DATABASE__POOL_SIZE": "4"}},
    ]
    for mend in mends:
        fields = {"service": instances(10), "database": small, **mend}
        (mended,) = connections(context(folder, **fields))
        assert mended.state is State.OK, mended.text


def test_a_pool_too_large_for_one_instance_is_not_mended_by_fewer(folder: Path) -> None:
    pool = pool_of(context(folder))
    assert "max_instances" not in fix(10, pool, 5)


def test_variables_win_over_the_settings_defaults(folder: Path) -> None:
    config = {"DATABASE__POOL_SIZE": "5", "DATABASE__POOL_OVERFLOW": "10"}
    pool = pool_of(context(folder, config=config))
    assert (pool.size, pool.overflow, pool.most) == (5, 10, 15)


def test_each_worker_has_a_pool(folder: Path) -> None:
    config = {"SERVER__WORKERS": "2", "DATABASE__POOL_SIZE": "5", "DATABASE__POOL_OVERFLOW": "0"}
    (found,) = connections(context(folder, service=instances(3), config=config))
    assert "3 instances × 2 workers × (pool 5 + overflow 0) = 30 connections" in found.text  # noqa: RUF001
    assert pool_of(context(folder, config=config)).most == 10


def test_settings_of_the_services_own_are_read(folder: Path) -> None:
    text = (folder / SETTINGS).read_text("utf-8")
    assert "pool_size: Count = 20" in text
    (folder / SETTINGS).write_text(text.replace("pool_size: Count = 20", "pool_size: Count = 7"))
    assert pool_of(context(folder)).size == 7


def test_without_settings_the_check_is_skipped(folder: Path) -> None:
    (folder / SETTINGS).unlink()
    given = context(folder)
    with pytest.raises(Unreadable, match="pool_size"):
        pool_of(given)
    (found,) = look(connections, given)
    assert found.state is State.SKIPPED
    assert SETTINGS in found.text


def test_the_local_database_is_not_judged(folder: Path) -> None:
    (found,) = connections(context(folder, name="local"))
    assert found.state is State.SKIPPED


@pytest.mark.parametrize(
    ("tier", "memory", "most"),
    [
        ("db-f1-micro", 614, 25),
        ("db-g1-small", 1740, 50),
        ("db-custom-1-3840", 3840, 100),
        ("db-custom-2-6144", 6144, 200),
        ("db-custom-2-7680", 7680, 400),
        ("db-perf-optimized-N-2", 16384, 500),
        ("db-custom-8-30720", 30720, 600),
        ("db-n1-highmem-16", 106496, 800),
        ("db-perf-optimized-N-16", 131072, 1000),
        ("db-c4a-highmem-4-lssd", 32768, 600),
    ],
)
def test_the_connections_follow_from_the_memory(
    folder: Path, tier: str, memory: int, most: int
) -> None:
    plus = tier.startswith(("db-perf", "db-c4a"))
    database = {"tier": tier, "edition": "ENTERPRISE_PLUS" if plus else "ENTERPRISE"}
    assert megabytes(tier) == memory
    assert available(context(folder, database=database)) == (most, f"{tier} has")


def test_an_unknown_machine_has_no_memory() -> None:
    assert megabytes("db-new-9") is None
    assert cpus("db-new-9") is None
    assert cpus("db-c4a-highmem-4-lssd") == 4


def test_the_environments_of_the_template_fit(folder: Path) -> None:
    template = Path(__file__).parents[2] / "{{cookiecutter.service}}" / "environments"
    (folder / "environments").mkdir()
    for name in ("dev", "stg", "prd"):
        text = (template / f"{name}.yaml").read_text("utf-8")
        for key in ("project_dev", "project_stg", "project_prd"):
            text = text.replace(f"{{{{ cookiecutter.{key} }}}}", "acme-project")
        text = text.replace("{{ cookiecutter.region }}", "europe-west1")
        text = text.replace("{{ cookiecutter.service }}", "orders")
        head, _, rest = text.partition("{%- if cookiecutter.repository %}")
        _, _, tail = rest.partition("{%- endif %}")
        (folder / "environments" / f"{name}.yaml").write_text(head + tail)
        environment = load(folder, name)
        given = Context(environment, folder, Cloud(environment, "127.0.0.1:1"), [])
        (found,) = connections(given)
        assert found.state is State.OK, f"{name}: {found.text}"
