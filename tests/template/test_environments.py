"""environments/*.yaml: what the answers declare for each, and how production differs."""

import re
from pathlib import Path

import pytest

from infra.doctor.database import DEFAULTS, RESERVED, SETTINGS, defaults_of
from infra.sql_tiers import megabytes
from tests.conftest import Bake
from tests.template.delivery import OWN_PROJECTS, REGION, REPOSITORY_NAME, environment
from tests.template.images import stages


def test_services_on_one_machine_share_the_local_project(folder: Path, baked: Bake) -> None:
    other = baked(service="invoices").folder
    project = environment(folder, "local")["project"]
    assert project == environment(other, "local")["project"]
    assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", project)


@pytest.mark.parametrize("name", ["dev", "stg", "prd"])
def test_an_environment_is_the_answers_project(name: str, baked: Bake) -> None:
    declared = environment(baked(**OWN_PROJECTS).folder, name)
    assert declared["project"] == OWN_PROJECTS[f"project_{name}"]
    assert declared["region"] == REGION
    assert declared["service"]["name"] == "orders"
    assert declared["service"]["invokers"] == []


@pytest.mark.parametrize("name", ["dev", "stg", "prd"])
def test_a_project_is_called_like_the_service_unless_answered(name: str, folder: Path) -> None:
    assert environment(folder, name)["project"] == f"orders-{name}"


def test_production_is_protected_and_the_rest_is_small(folder: Path) -> None:
    dev, stg, prd = (environment(folder, name) for name in ("dev", "stg", "prd"))
    assert prd["database"]["availability"] == "REGIONAL"
    assert prd["database"]["deletion_protection"] is True
    assert prd["database"]["backups"] is True
    assert prd["service"]["min_instances"] == 1
    for small in (dev, stg):
        assert small["service"]["min_instances"] == 0
        assert small["service"]["max_instances"] < prd["service"]["max_instances"]
        assert small["database"]["availability"] == "ZONAL"


@pytest.mark.parametrize("name", ["dev", "stg", "prd"])
def test_the_database_has_connections_for_all_instances(name: str, folder: Path) -> None:
    declared = environment(folder, name)
    memory = megabytes(declared["database"]["tier"])
    assert memory is not None
    has = next(count for least, count in DEFAULTS if memory >= least)
    defaults = defaults_of(folder / SETTINGS)
    pool = defaults["pool_size"] + defaults["pool_overflow"]
    assert declared["service"]["max_instances"] * pool <= has - RESERVED


def test_a_branch_builds_dev_and_stg_and_a_tag_builds_prd(folder: Path) -> None:
    for name, event in (("dev", "branch"), ("stg", "branch"), ("prd", "tag")):
        trigger = environment(folder, name)["trigger"]
        assert trigger.keys() == {"repository", "connection", event, "deploy", "checks"}
        # That what is pushed changes what is live, somebody has to decide.
        assert (trigger["deploy"], trigger["checks"]) == (False, False)
        assert trigger["repository"] == REPOSITORY_NAME
        re.compile(trigger[event])


def test_without_a_repository_there_is_nothing_to_trigger(folder_without_repository: Path) -> None:
    for name in ("local", "dev", "stg", "prd"):
        assert "trigger" not in environment(folder_without_repository, name)
    image = stages(folder_without_repository / "ci/Dockerfile")["image"]
    assert "image.source" not in image.all("LABEL")[0]
