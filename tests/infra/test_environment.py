"""Environment files: short ones are filled in, and each fault is told with its line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infra.environment import Environment, EnvironmentFileError, load
from infra.environment_faults import sections
from infra.names import Names

SHORT = """\
project: acme-stg
region: europe-west1
service:
  name: orders-api
"""
# What is written below the short file, or instead of a line of it; and what is said about it.
WRONG = [
    ("project: acme-stg", "project: Acme", "1: project: must be a project's id: 6 to 30 lower"),
    ("project: acme-stg", "project: 123456", "1: project: must be text (got 123456)"),
    ("project: acme-stg\n", "", "1: project: is missing"),
    ("europe-west1", "europe", "2: region: must be a region, like europe-west1 (got 'europe')"),
    ("region: europe-west1\n", "", "1: region: is missing"),
    ("orders-api", "Orders", "4: service.name: must be 2 to 22 lowercase letters"),
    ("orders-api", "a-service-with-a-long-name", "4: service.name: must be 2 to 22"),
    ("  name: orders-api", "  nam: orders-api", "4: service.nam: there is no such field: did you"),
    ("service:\n  name: orders-api", "service: orders", "3: service: must be a group of fields"),
    ("", "  cpu: 3", "5: service.cpu: must be 1, 2, 4, 6 or 8"),
    ("", "  cpu: 0.5", "5: service.cpu: less than 1 cpu needs concurrency: 1"),
    ("", "  memory: 512", "5: service.memory: must be text (got 512)"),
    ("", "  memory: 512MB", "5: service.memory: must be an amount like 512Mi or 2Gi"),
    ("", "  memory: 8Gi", "5: service.memory: must be between 128Mi and 4096Mi with 1 cpu"),
    ("", "  concurrency: 0", "5: service.concurrency: must be at least 1 (got 0)"),
    ("", "  concurrency: 1001", "5: service.concurrency: must be at most 1000 (got 1001)"),
    ("", "  min_instances: -1", "5: service.min_instances: must be at least 0 (got -1)"),
    ("", "  min_instances: 11", "5: service.min_instances: must not be above max_instances"),
    ("", "  max_instances: 0", "5: service.max_instances: must be at least 1 (got 0)"),
    ("", "  timeout: '60'", "5: service.timeout: must be a whole number (got '60')"),
    ("", "  timeout: 3601", "5: service.timeout: must be at most 3600 (got 3601)"),
    ("", "  ingress: none", "5: service.ingress: must be 'all', 'internal' or 'internal-and-"),
    ("", "  invokers: allUsers", "5: service.invokers: must be a list (got 'allUsers')"),
    ("", "  invokers: [ann]", "5: service.invokers.0: must be allUsers, allAuthenticatedUsers,"),
    ("", "  cpus: 1", "5: service.cpus: there is no such field: did you mean cpu?"),
    ("", "  tier: x", "5: service.tier: there is no such field here: database has it"),
    ("", "impersonate: ann@acme.com", "5: impersonate: must be a service account, like"),
    ("", "database: {instance: A}", "5: database.instance: must be lowercase letters"),
    ("", "database: {name: 1a}", "5: database.name: must be lowercase letters"),
    ("", "database: {user: A}", "5: database.user: must be lowercase letters"),
    ("", "database: {version: MYSQL_8}", "5: database.version: must be like POSTGRES_17"),
    ("", "database: {edition: BIG}", "5: database.edition: must be 'ENTERPRISE' or 'ENTERPRISE_"),
    ("", "database: {edition: ENTERPRISE_PLUS}", "5: database.edition: ENTERPRISE_PLUS needs a"),
    ("", "database: {tier: small}", "5: database.tier: must be a machine type like db-g1-small"),
    ("", "database: {availability: x}", "5: database.availability: must be 'ZONAL' or 'REGIONAL'"),
    (
        "",
        "database: {availability: REGIONAL, backups: false}",
        "5: database.availability: REGIONAL needs backups: true",
    ),
    ("", "database: {deletion_protection: 1}", "5: database.deletion_protection: must be true or"),
    ("", "database: {backups: 'no'}", "5: database.backups: must be true or false (got 'no')"),
    ("", "database: {flags: [a]}", "5: database.flags: must be a mapping of names to values"),
    ("", "database: {disk: 10}", "5: database.disk: there is no such field; there are instance,"),
    ("", "database: []", "5: database: must be a group of fields (got [])"),
    ("", "database: {backups: }", "5: database.backups: must be true or false (got nothing)"),
    (
        "",
        "  ingress: true",
        "5: service.ingress: must be 'all', 'internal' or 'internal-and-cloud-",
    ),
    ("", "secrets: {1A: a}", "5: secrets.1A: '1A' can't be the name of an environment variable"),
    ("", "secrets: {KEY: a/b}", "5: secrets.KEY: must be a secret's name: letters, digits, -"),
    ("", "secrets: {KEY: orders-api-db-password}", "5: secrets: orders-api-db-password is the"),
    ("", "config: {PORT: 80}", "5: config.PORT: PORT is set by Cloud Run itself"),
    ("", "config: {A: [1]}", "5: config.A: must be text (got [1])"),
    ("", "config: {A: 1}\nsecrets: {A: a}", "6: secrets: A is in config too"),
    ("", "trigger: {repository: orders}", "5: trigger.repository: must be OWNER/NAME, as on Git"),
    ("", "trigger: {repository: a/b, branch: x}", "5: trigger.connection: is missing"),
    (
        "",
        "trigger: {repository: a/b, connection: c}",
        "5: trigger: needs either branch or tag, and not both",
    ),
    (
        "",
        "trigger: {repository: a/b, connection: c, branch: '('}",
        "5: trigger.branch: no regular expression: missing ), unterminated subpattern",
    ),
    (
        "",
        "trigger: {repository: a/b, connection: c, tag: '['}",
        "5: trigger.tag: no regular expression: unterminated character set",
    ),
    (
        "",
        "trigger: {repository: a/b, connection: c, tag: v, deploy: stg}",
        "5: trigger.deploy: must be true or false (got 'stg')",
    ),
    (
        "",
        "trigger: {repository: a/b, connection: c, tag: v, checks: 1}",
        "5: trigger.checks: must be true or false (got 1)",
    ),
    ("", "release: 10", "5: release: must be a group of fields (got 10)"),
    ("", "release: {canary: [0]}", "5: release.canary.0: must be at least 1 (got 0)"),
    ("", "release: {canary: [50, 10]}", "5: release.canary: must climb from step to step"),
    ("", "release: {bake: soon}", "5: release.bake: must be a time like 90s or 2m (got"),
    ("", "release: {bake: 2h}", "5: release.bake: must be a time like 90s or 2m (got '2h')"),
    ("", "release: {bake: 3601}", "5: release.bake: must be at most 3600 (got 3601)"),
    ("", "release: {checks: [/a]}", "5: release.checks: must be"),
    ("", "release: {checks: {a: 200}}", "5: release.checks.a: must be a path like /items?size=1"),
    ("", "release: {checks: {/a: ok}}", "5: release.checks./a: must be"),
    ("", "release: {checks: {/a: 99}}", "5: release.checks./a: must be at least 200 (got 99)"),
    ("", "release: {checks: {/healthz: 200}}", "5: release.checks: /healthz never reaches the"),
    ("", "monitoring: 1", "5: monitoring: must be a group of fields (got 1)"),
    ("", "monitoring: {error_ratio: 1}", "5: monitoring.error_ratio: must be below 1"),
    ("", "monitoring: {error_ratio: 0}", "5: monitoring.error_ratio: must be above 0"),
    ("", "monitoring: {latency_ms: 0.5}", "5: monitoring.latency_ms: must be a whole number"),
    ("", "monitoring: {notify: [ann@acme.com]}", "5: monitoring.notify.0: must be a notification"),
    ("", "monitoring: {notify: me}", "5: monitoring.notify: must be a list (got 'me')"),
    ("", "regions: x", "5: regions: there is no such field: did you mean region?"),
    ("", "name: stg", "5: name: is the file's name, and not a field"),
    ("", "region: x", "5: region is given twice"),
    ("", "a: [", "6: this is no YAML"),
]


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field of an environment file, as messages name it."""
    inner = sections(model)
    for name, field in model.model_fields.items():
        if not prefix and name == "name":
            continue  # the file's, which has a case of its own
        yield prefix + name, field
        if name in inner:
            yield from fields_of(inner[name], f"{prefix}{name}.")


FIELDS = dict(fields_of(Environment))
GROUPS = ["", *(f"{name}." for name in sections(Environment))]


def field_of(said: str) -> str:
    """The field a case of WRONG is about; that of an entry is the list or mapping it is in."""
    path = said.split(": ")[1]
    return next((name for name in reversed(FIELDS) if f"{path}.".startswith(f"{name}.")), path)


def write(folder: Path, text: str, name: str = "stg") -> Path:
    """A service's folder with an environment."""
    (folder / "environments").mkdir(exist_ok=True)
    (folder / "environments" / f"{name}.yaml").write_text(text)
    return folder


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    environment = load(write(tmp_path, SHORT), "stg")
    assert environment.service.memory == "512Mi"
    assert environment.database.instance == "orders-api"
    assert environment.database.name == environment.database.user == "orders_api"
    assert environment.database.deletion_protection
    assert Names(environment).bucket == "acme-stg-orders-api-source"


def test_the_local_database_may_be_deleted(tmp_path: Path) -> None:
    environment = load(write(tmp_path, SHORT, "local"), "local")
    assert not environment.database.deletion_protection


def test_the_user_is_named_like_the_database(tmp_path: Path) -> None:
    environment = load(write(tmp_path, SHORT + "database: {name: shop}\n"), "stg")
    assert (environment.database.user, environment.database.instance) == ("shop", "orders-api")


def test_config_is_taken_as_it_is_written(tmp_path: Path) -> None:
    text = "config: {VERSION: 1.10, DEBUG: true, MODE: 0o644, EMPTY: ''}\n"
    environment = load(write(tmp_path, SHORT + text), "stg")
    assert environment.config == {"VERSION": "1.10", "DEBUG": "true", "MODE": "0o644", "EMPTY": ""}


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=[said for *_, said in WRONG])
def test_a_fault_is_told_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = SHORT.replace(old, new) if old else f"{SHORT}{new}\n"
    with pytest.raises(EnvironmentFileError) as raised:
        load(write(tmp_path, text), "stg")
    assert f"environments/stg.yaml:{said}" in str(raised.value)


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_has_a_case_of_its_own(name: str) -> None:
    assert name in {field_of(said) for *_, said in WRONG if "there is no such" not in said}


def put(name: str, value: object) -> str:
    """A file with every group, in which a field has the value; None takes the field out."""
    written: dict[str, Any] = yaml.safe_load(SHORT) | {
        "database": {},
        "trigger": {"repository": "acme/orders", "connection": "github", "branch": "main"},
        "release": {},
        "monitoring": {},
    }
    *path, last = name.split(".")
    group = written
    for part in path:
        group = group[part]
    group.pop(last, None)
    if value is not None:
        group[last] = value
    return yaml.safe_dump(written)


@pytest.mark.parametrize("name", FIELDS)
def test_a_value_of_the_wrong_type_is_told(tmp_path: Path, name: str) -> None:
    kinds = str(FIELDS[name].annotation)
    wrong = "text" if "list" in kinds or "int" in kinds or "bool" in kinds else ["a", "list"]
    with pytest.raises(EnvironmentFileError) as raised:
        load(write(tmp_path, put(name, wrong)), "stg")
    told = str(raised.value)
    assert re.match(rf"environments/stg\.yaml:\d+: {re.escape(name)}: must be ", told), told
    assert told.endswith(f"(got {wrong!r})")
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if field.is_required()])
def test_a_missing_field_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(EnvironmentFileError) as raised:
        load(write(tmp_path, put(name, None)), "stg")
    assert re.fullmatch(
        rf"environments/stg\.yaml:\d+: {re.escape(name)}: is missing", str(raised.value)
    )


def limits() -> Iterator[tuple[str, int]]:
    """The numbers next to those that each field takes."""
    for name, field in FIELDS.items():
        for limit in field.metadata:
            if isinstance(limit, Ge) and isinstance(limit.ge, int):
                yield name, limit.ge - 1
            if isinstance(limit, Le) and isinstance(limit.le, int):
                yield name, limit.le + 1


@pytest.mark.parametrize(("name", "value"), list(limits()))
def test_a_number_out_of_its_range_is_told(tmp_path: Path, name: str, value: int) -> None:
    with pytest.raises(EnvironmentFileError) as raised:
        load(write(tmp_path, put(name, value)), "stg")
    assert re.search(
        rf"stg\.yaml:\d+: {re.escape(name)}: must be at (least|most) \d+ \(got {value}\)",
        str(raised.value),
    )


@pytest.mark.parametrize("group", GROUPS)
def test_a_field_that_there_is_not_is_told(tmp_path: Path, group: str) -> None:
    with pytest.raises(EnvironmentFileError) as raised:
        load(write(tmp_path, put(f"{group}nonsense", 1)), "stg")
    assert re.fullmatch(
        rf"environments/stg\.yaml:\d+: {group}nonsense: there is no such field; there are .+",
        str(raised.value),
    )


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFileError) as raised:
        load(write(tmp_path, f"{SHORT}  cpu: 3\n  timeout: 0\n"), "stg")
    assert len(str(raised.value).splitlines()) == 2


@pytest.mark.parametrize("name", ["stgg", "../stg", "", "Stg"])
def test_an_unknown_environment_says_which_there_are(tmp_path: Path, name: str) -> None:
    write(tmp_path, SHORT)
    with pytest.raises(
        EnvironmentFileError, match=r"There are: stg \(environments/\)|did you mean"
    ):
        load(tmp_path, name)


def test_a_folder_without_environments_is_told(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFileError, match=r"has no environments/\*\.yaml"):
        load(tmp_path, "stg")
