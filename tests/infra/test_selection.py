"""Tags: a part of the stack is changed, what it needs is checked, and the rest is left alone."""

from collections.abc import Iterator

import pytest
from google.cloud import service_usage_v1

from infra.apply import apply, preview
from infra.events import Finished, Status
from infra.outcome import Outcome
from infra.plan import Session, plan, to_converge
from infra.resources.base import Resource
from infra.selection import Selection, UnknownTagError, known_tags
from infra.stack import stack
from tests.infra.ours import Ours, is_well
from tests.infra.services import declare, write
from tests.infra.worlds import hollow_cloud

TRIGGER = {"repository": "acme/orders", "connection": "github", "branch": "^main$"}
CHOSEN: list[tuple[str | None, str | None, set[str]]] = [
    ("apis", None, {"apis acme-stg"}),
    ("storage", None, {"bucket acme-stg-orders-source", "grants on acme-stg-orders-source"}),
    (
        "database",
        None,
        {
            "sql instance orders",
            "database orders",
            "database user orders",
            "password orders-db-password",
        },
    ),
    (
        "run, build",
        None,
        {
            "service orders",
            "job orders-migrate",
            "grants on service orders",
            "grants on job orders-migrate",
            "connection github",
            "repository acme/orders",
            "trigger orders",
        },
    ),
    ("run", "iam", {"service orders", "job orders-migrate"}),
    ("sql-instance", None, {"sql instance orders"}),
    ("accounts", None, {"account orders-run", "account orders-build", "account orders-migrate"}),
]


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """A stack that has something of every kind."""
    return stack(declare(trigger=TRIGGER), write(tmp_path_factory.mktemp("service")))


@pytest.mark.parametrize(("tags", "skip", "keys"), CHOSEN)
def test_tags_choose(
    tags: str | None, skip: str | None, keys: set[str], resources: list[Resource]
) -> None:
    chosen = Selection.of(tags, skip)
    assert {each.key for each in resources if chosen.has(each)} == keys


def test_without_tags_all_is_chosen(resources: list[Resource]) -> None:
    assert Selection.of(None, None).of_stack(resources) == resources
    assert Selection.of("", " ").of_stack(resources) == resources


def test_what_is_chosen_comes_with_what_it_needs(resources: list[Resource]) -> None:
    found = [each.key for each in Selection.of("registry", None).of_stack(resources)]
    assert found == [
        "apis acme-stg",
        "account orders-build",
        "registry orders",
        "grants on images orders",
    ]


def test_every_resource_has_a_tag_of_its_product(resources: list[Resource]) -> None:
    for each in resources:
        assert each.tags, each.key
    assert {"apis", "iam", "storage", "registry", "secrets", "database", "build", "run"} <= set(
        known_tags()
    )


@pytest.mark.parametrize(
    ("tags", "skip", "said"),
    [
        ("databse", None, "--tags: there is no tag 'databse': did you mean database?"),
        (
            None,
            "run,zzz",
            "--skip-tags: there is no tag 'zzz'. There are: account, accounts, alert-",
        ),
    ],
)
def test_an_unknown_tag_names_those_that_there_are(
    tags: str | None, skip: str | None, said: str
) -> None:
    with pytest.raises(UnknownTagError) as raised:
        Selection.of(tags, skip)
    assert said in str(raised.value)
    assert "registry, repository, run, " in str(raised.value)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    """A service that is provisioned, but for one API that somebody has disabled."""
    folder = write(tmp_path_factory.mktemp("service"))
    with hollow_cloud(tmp_path_factory.mktemp("cloud")) as running:
        made = Ours.make(running.host, folder, "by-tags")
        assert is_well(made.provision()), made.told()
        request = service_usage_v1.DisableServiceRequest(
            name=f"{made.project}/services/telemetry.googleapis.com"
        )
        made.cloud.services.disable_service(request).result()  # type: ignore[no-untyped-call]
        yield made


def carry_out(ours: Ours, tags: str | None, skip: str | None = None, *, check: bool) -> Outcome:
    """A run that is limited by tags."""
    ours.events.clear()
    chosen = Selection.of(tags, skip)
    session = Session(ours.cloud, ours.events.append, narrow=chosen.narrow)
    planned = plan(
        chosen.of_stack(stack(ours.cloud.environment, ours.folder)), session, to_converge
    )
    return preview(planned, session) if check else apply(planned, session)


@pytest.mark.parametrize("check", [True, False])
def test_what_needs_a_left_out_thing_that_is_not_as_declared_is_blocked(
    ours: Ours, check: bool
) -> None:
    outcome = carry_out(ours, "registry", check=check)
    assert outcome.statuses == {
        "apis by-tags": Status.SKIPPED,
        "account orders-build": Status.OK,
        "registry orders": Status.BLOCKED,
        "grants on images orders": Status.BLOCKED,
    }
    told = {each.name: each.text for each in ours.events if isinstance(each, Finished)}
    assert told["orders"] == "apis by-tags is left out by --tags and is not as declared"
    assert told["by-tags"] == "left out, would be updated"
    state = service_usage_v1.GetServiceRequest(
        name=f"{ours.project}/services/telemetry.googleapis.com"
    )
    assert ours.cloud.services.get_service(state).state.name == "DISABLED"


def test_skipped_tags_block_alike_and_are_named(ours: Ours) -> None:
    outcome = carry_out(ours, None, "apis", check=True)
    assert outcome.statuses["apis by-tags"] is Status.SKIPPED
    assert outcome.statuses["service orders"] is Status.BLOCKED
    assert "left out by --skip-tags" in ours.told()


def test_what_is_as_declared_and_left_out_lets_the_chosen_go_on(ours: Ours) -> None:
    assert is_well(carry_out(ours, "apis", check=False))
    bucket = ours.cloud.storage.get_bucket(ours.cloud.names.bucket)
    bucket.lifecycle_rules = []
    bucket.patch()
    outcome = carry_out(ours, "storage", check=False)
    assert outcome.statuses == {
        "apis by-tags": Status.OK,
        "account orders-build": Status.OK,
        "bucket by-tags-orders-source": Status.CHANGED,
        "grants on by-tags-orders-source": Status.OK,
    }
