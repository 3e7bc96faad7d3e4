"""What changes is said in the environment file's words, and no secret with it."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from infra.environment import Environment
from infra.events import SENSITIVE, Field
from infra.reporter import change
from infra.resources.base import Difference, Live, Resource
from infra.resources.run import READY
from infra.stack import stack
from infra.terms import UNDECLARED, spoken
from tests.infra.services import write
from tests.infra.test_cases import BASE, MANIFEST, Json, laid

ROOT = Path(__file__).parents[2]
CONTAINER = "template.containers.0"
# Field of the file: what it is changed to, laid over the base, and how that is told.
CHANGED: dict[str, tuple[Json, str]] = {
    "project": ({"project": "acme-prd"}, "~ project: acme-stg → acme-prd"),
    "region": ({"region": "europe-west4"}, "~ region: europe-west1 → europe-west4"),
    "service.cpu": ({"service": {"cpu": "2"}}, "~ service.cpu: 1 → 2"),
    "service.memory": ({"service": {"memory": "1Gi"}}, "~ service.memory: 512Mi → 1Gi"),
    "service.concurrency": ({"service": {"concurrency": 9}}, "~ service.concurrency: 80 → 9"),
    "service.min_instances": (
        {"service": {"min_instances": 2}},
        "~ service.min_instances: 1 → 2",
    ),
    "service.max_instances": (
        {"service": {"max_instances": 20}},
        "~ service.max_instances: 10 → 20",
    ),
    "service.timeout": ({"service": {"timeout": 60}}, "~ service.timeout: 300 → 60"),
    "service.ingress": ({"service": {"ingress": "internal"}}, "~ service.ingress: all → internal"),
    "service.invokers": (
        {"service": {"invokers": ["user:ann@acme.com"]}},
        "+ service.invokers: user:ann@acme.com",
    ),
    "database.instance": (
        {"database": {"instance": "shared"}},
        "~ database.instance: orders → shared",
    ),
    "database.name": ({"database": {"name": "shop"}}, "~ database.name: orders → shop"),
    "database.user": ({"database": {"user": "clerk"}}, "~ database.user: orders → clerk"),
    "database.version": (
        {"database": {"version": "POSTGRES_18"}},
        "~ database.version: POSTGRES_17 → POSTGRES_18",
    ),
    "database.edition": (
        {"database": {"edition": "ENTERPRISE_PLUS", "tier": "db-perf-optimized-N-2"}},
        "~ database.edition: ENTERPRISE → ENTERPRISE_PLUS",
    ),
    "database.tier": (
        {"database": {"tier": "db-custom-2-7680"}},
        "~ database.tier: db-g1-small → db-custom-2-7680",
    ),
    "database.availability": (
        {"database": {"availability": "REGIONAL"}},
        "~ database.availability: ZONAL → REGIONAL",
    ),
    "database.deletion_protection": (
        {"database": {"deletion_protection": False}},
        "~ database.deletion_protection: true → false",
    ),
    "database.backups": ({"database": {"backups": False}}, "~ database.backups: true → false"),
    "database.flags": (
        {"database": {"flags": {"cloudsql.iam_authentication": "on"}}},
        "+ database.flags.cloudsql.iam_authentication: on",
    ),
    "secrets": ({"secrets": {"API_KEY": "api-key"}}, "+ secrets.API_KEY: secret api-key"),
    "config": ({"config": {"LOG_LEVEL": "DEBUG"}}, "~ config.LOG_LEVEL: INFO → DEBUG"),
    "trigger.repository": (
        {"trigger": {"repository": "acme/shop.api"}},
        "~ trigger.repository: acme-orders → acme-shop-api",
    ),
    "trigger.connection": (
        {"trigger": {"connection": "hub"}},
        "~ trigger.connection: github → hub",
    ),
    "trigger.branch": (
        {"trigger": {"branch": "^next$"}},
        "~ trigger.branch: ^main$ → ^next$",
    ),
    "trigger.tag": ({"trigger": {"branch": None, "tag": "^v"}}, "+ trigger.tag: ^v"),
    "trigger.deploy": ({"trigger": {"deploy": True}}, "+ trigger.deploy: true"),
    "monitoring.error_ratio": (
        {"monitoring": {"error_ratio": 0.1}},
        "~ monitoring.error_ratio: 0.05 → 0.1",
    ),
    "monitoring.latency_ms": (
        {"monitoring": {"latency_ms": 300}},
        "~ monitoring.latency_ms: 1000 → 300",
    ),
    "monitoring.notify": ({"monitoring": {"notify": ["77"]}}, "+ monitoring.notify: [77]"),
}
NOT_TOLD = {
    "name": "the file itself",
    "impersonate": "who acts, and nothing that is there",
    "service.name": "a part of every resource's name",
    "trigger.checks": "an account and a trigger more, which are told by their names",
    "release.bake": "how a release is rolled out, not what is provisioned",
    "release.checks": "how a release is rolled out, not what is provisioned",
    "release.canary": "how a release is rolled out, not what is provisioned",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service's folder, with the manifest of the template."""
    made = write(tmp_path_factory.mktemp("service"))
    (made / "ci" / "cloud-run.yaml").write_text((ROOT / MANIFEST).read_text("utf-8"), "utf-8")
    return made


def environment(**changed: object) -> Environment:
    """An environment that has something in each of its groups."""
    base: Json = {**BASE, "config": {"LOG_LEVEL": "INFO"}, "service": {"name": "orders"}}
    base["service"]["min_instances"] = 1
    base["trigger"] = dict(BASE["trigger"])
    base["monitoring"] = {}
    return Environment.model_validate(laid(base, dict(changed)))


def as_declared(resource: Resource) -> Live:
    """What is there when all is as declared, and an image of our own is deployed."""
    state = {"image": "ours", READY: "", "secret orders-db-password": "1", "secret api-key": "1"}
    state["password version"] = "1"
    return Live(resource.declared(Live({}, state=state)), state=state)


def told(before: Environment, after: Environment, folder: Path) -> set[str]:
    """How it is told that the file changed. What has another name now is compared with what it was:
    resources of a type go together in the order of the stack."""
    there: dict[type[Resource], list[Resource]] = defaultdict(list)
    for each in stack(before, folder):
        there[type(each)].append(each)
    pairs = [(there[type(new)].pop(0), new) for new in stack(after, folder) if there[type(new)]]
    return {
        change(field)
        for old, new in pairs
        for field in spoken(new, new.differences(as_declared(old)))
    }


@pytest.mark.parametrize("name", CHANGED)
def test_a_field_of_the_file_is_told_by_its_name(name: str, folder: Path) -> None:
    changed, line = CHANGED[name]
    assert line in told(environment(), environment(**changed), folder)


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The fields of a model and of its groups."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        groups = [each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel)]
        if groups:
            yield from leaves(groups[0], f"{name}.")
        else:
            yield f"{prefix}{name}"


def test_no_field_of_the_file_is_forgotten() -> None:
    assert sorted(leaves(Environment)) == sorted([*CHANGED, *NOT_TOLD])


def test_what_is_as_declared_is_not_told(folder: Path) -> None:
    assert told(environment(), environment(), folder) == set()


def resource(folder: Path, key: str, **changed: object) -> Resource:
    """A resource of the base."""
    return {each.key: each for each in stack(environment(**changed), folder)}[key]


VARIABLES: list[tuple[Difference, Field]] = [
    (  # it was set by hand, and may well be the secret itself
        Difference(f"{CONTAINER}.env.API_KEY", "sk_live", "secret api-key"),
        Field("secrets.API_KEY", SENSITIVE, "secret api-key"),
    ),
    (
        Difference(f"{CONTAINER}.env.API_KEY", "secret old-key", "secret api-key"),
        Field("secrets.API_KEY", "secret old-key", "secret api-key"),
    ),
    (
        Difference(f"{CONTAINER}.env.BY_HAND", "sk_live", None),
        Field("config.BY_HAND", SENSITIVE, None, UNDECLARED),
    ),
    (
        Difference(f"{CONTAINER}.env.OLD_KEY", "secret old-key", None),
        Field("secrets.OLD_KEY", "secret old-key", None, UNDECLARED),
    ),
    (
        Difference(f"{CONTAINER}.env.DATABASE__PASSWORD", "hunter2", "secret orders-db-password"),
        Field(f"{CONTAINER}.env.DATABASE__PASSWORD", SENSITIVE, "secret orders-db-password"),
    ),
]


@pytest.mark.parametrize(("difference", "field"), VARIABLES, ids=lambda each: each.path)
def test_a_value_that_may_be_secret_is_not_told(
    difference: Difference, field: Field, folder: Path
) -> None:
    service = resource(folder, "service orders", secrets={"API_KEY": "api-key"})
    assert spoken(service, [difference]) == (field,)


def test_the_password_is_not_told_at_all(folder: Path) -> None:
    user = resource(folder, "database user orders")
    (field,) = spoken(user, [Difference("password", "one", "another")])
    assert change(field) == f"~ password: {SENSITIVE}"


OTHERS = [
    ("bucket acme-stg-orders-source", "public_access_prevention", "inherited", "enforced"),
    ("sql instance orders", "settings.sslMode", "ALLOW", "ENCRYPTED_ONLY"),
    # A container beside the one that serves: the file says nothing of its size.
    ("service orders", "template.containers.proxy.resources.limits.memory", "128Mi", "256Mi"),
    ("service orders", f"{CONTAINER}.env.DATABASE__NAME", "orders", "as the manifest says"),
]


@pytest.mark.parametrize(("key", "path", "old", "new"), OTHERS)
def test_what_the_file_does_not_say_keeps_googles_path(
    key: str, path: str, old: str, new: str, folder: Path
) -> None:
    assert spoken(resource(folder, key), [Difference(path, old, new)]) == (Field(path, old, new),)


def test_two_fields_of_googles_that_are_one_in_the_file_are_told_once(folder: Path) -> None:
    instance = resource(folder, "sql instance orders")
    paths = ("settings.backups", "settings.pointInTimeRecovery")
    fields = spoken(instance, [Difference(path, False, True) for path in paths])
    assert fields == (Field("database.backups", False, True),)
