"""The preflight finds what would keep a provision from working, says what mends it, and only
reads."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import httpx
import pytest
from google.cloud.devtools.cloudbuild_v1 import ListBuildTriggersRequest, UpdateBuildTriggerRequest

from infra.cloud import Cloud
from infra.denied import role_for
from infra.doctor import permissions
from infra.doctor.base import Context, Finding, State
from infra.doctor.examination import CHECKS, examine
from infra.doctor.places import custom_tier
from infra.doctor.role import least
from infra.emulator import roles
from infra.events import Status
from infra.login import EMULATOR
from infra.stack import stack
from tests.infra.limited import set_policy
from tests.infra.services import TRIGGER, declare, make_folder
from tests.infra.test_permissions import ACCOUNT, Limited, wanted

FITS = {"tier": "db-custom-2-7680"}
PROJECTS = count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service's."""
    return make_folder(tmp_path_factory.mktemp("service") / "orders")


type Look = Callable[..., dict[str, list[Finding]]]


@pytest.fixture
def look(host: str, folder: Path) -> Look:
    """Examines a project of its own; the findings, by check."""

    def run(**fields: object) -> dict[str, list[Finding]]:
        given = {"project": f"examined-{next(PROJECTS)}", "database": FITS}
        environment = declare(**{**given, **fields})
        cloud = Cloud(environment, host)
        return by_check(Context(environment, folder, cloud, stack(environment, folder)))

    return run


def by_check(context: Context) -> dict[str, list[Finding]]:
    """The findings, by check."""
    found: dict[str, list[Finding]] = {}
    for each in examine(context):
        found.setdefault(each.check, []).append(each)
    return found


def enable(host: str, project: str, *apis: str) -> None:
    """Enables APIs; returns when they are."""
    names = [f"{api}.googleapis.com" for api in apis]
    url = f"http://{host}/serviceusage/v1"
    body = {"serviceIds": names}
    answer = httpx.post(f"{url}/projects/{project}/services:batchEnable", json=body)
    answer.raise_for_status()
    while not answer.json().get("done"):
        answer = httpx.get(f"{url}/{answer.json()['name']}")


def only(findings: dict[str, list[Finding]], check: str) -> Finding:
    """The one finding of a check."""
    (found,) = findings[check]
    return found


def test_a_new_project_is_fit_and_what_is_not_enabled_is_said(look: Look) -> None:
    found = look()
    assert not [each for lines in found.values() for each in lines if each.state is State.FAILED]
    assert set(found) == {"login", *(check.__name__ for check in CHECKS)}
    assert "provision does it" in only(found, "apis").text
    assert only(found, "region").text == "could not be read: its API is not enabled in the project"


def test_it_only_reads(look: Look, host: str) -> None:
    httpx.delete(f"http://{host}/emulator/journal")
    look(trigger=TRIGGER)
    calls = httpx.get(f"http://{host}/emulator/journal").json()["calls"]
    assert len(calls) > 20
    assert not [each for each in calls if each["write"]]


def test_every_line_that_failed_says_what_mends_it(look: Look) -> None:
    found = look(trigger=TRIGGER, database={"tier": "db-custom-3-4096"})
    failures = [each for lines in found.values() for each in lines if each.state is State.FAILED]
    assert {each.check for each in failures} == {"agents", "tier", "connections"}
    assert all(each.fix for each in failures)


def test_without_credentials_it_says_how_to_log_in(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    monkeypatch.delenv(EMULATOR, raising=False)
    environment = declare(database=FITS)
    context = Context(environment, folder, Cloud(environment), stack(environment, folder))
    found = by_check(context)
    assert only(found, "login").state is State.FAILED
    assert "gcloud auth application-default login" in only(found, "login").fix
    assert only(found, "connections").state is State.OK
    rest = set(found) - {"login", "connections"}
    assert {only(found, each).state for each in rest} == {State.SKIPPED}


def test_an_account_nobody_may_act_as_is_told(look: Look) -> None:
    found = look(impersonate="nobody@acme-stg.iam.gserviceaccount.com")
    login = only(found, "login")
    assert login.state is State.FAILED
    assert "no acting as nobody@acme-stg.iam.gserviceaccount.com" in login.text
    assert "environments/stg.yaml" in login.text
    assert "roles/iam.serviceAccountTokenCreator" in login.fix


def test_a_project_nobody_pays_for_is_told(look: Look, host: str) -> None:
    url = f"http://{host}/cloudbilling/v1/projects/unpaid-project/billingInfo"
    assert only(look(project="unpaid-project"), "billing").state is State.OK
    httpx.put(url, json={"billingAccountName": ""}).raise_for_status()
    billing = only(look(project="unpaid-project"), "billing")
    assert billing.state is State.FAILED
    assert "gcloud billing projects link unpaid-project" in billing.fix


def test_the_region_the_tier_and_the_quota_are_looked_up(look: Look, host: str) -> None:
    enable(host, "looked-up", "run", "sqladmin", "cloudquotas")
    good = look(project="looked-up", database={"tier": "db-g1-small"})
    for check in ("region", "tier", "quotas"):
        assert only(good, check).state is State.OK
    wrong = look(
        project="looked-up",
        region="europe-west99",
        database={"tier": "db-n1-standard-2"},
        service={"name": "orders", "cpu": "8", "memory": "4Gi", "max_instances": 1000},
    )
    assert "europe-west1" in only(wrong, "region").fix
    assert "db-g1-small" in only(wrong, "tier").fix
    assert only(wrong, "quotas").state is State.SKIPPED
    many = {"name": "orders", "cpu": "8", "memory": "4Gi", "max_instances": 26}
    quota = only(look(project="looked-up", service=many), "quotas")
    assert quota.text.startswith("26 instances × 8 vCPU = 208, above the 200")  # noqa: RUF001
    assert "service.max_instances to at most 25" in quota.fix


@pytest.mark.parametrize(
    ("cpus", "megabytes", "why"),
    [
        (1, 3840, ""),
        (2, 7680, ""),
        (96, 638976, ""),
        (3, 7680, "even number"),
        (98, 7680, "even number"),
        (1, 3841, "multiple of 256"),
        (1, 3584, "between 3840 and 6656 MB"),
        (2, 13568, "between 3840 and 13312 MB"),
        (8, 7168, "between 7424 and 53248 MB"),
    ],
)
def test_a_custom_tier_is_one_that_cloud_sql_makes(cpus: int, megabytes: int, why: str) -> None:
    (found,) = custom_tier(f"db-custom-{cpus}-{megabytes}", cpus, megabytes)
    assert found.state is (State.FAILED if why else State.OK)
    assert why in found.text


def connect(host: str, project: str, stage: str) -> None:
    """Makes the connection to GitHub, at a stage of its installation."""
    enable(host, project, "cloudbuild")
    url = f"http://{host}/cloudbuild/v2/projects/{project}/locations/europe-west1/connections"
    annotations = {"emulator/installation-state": stage}
    body = {"githubConfig": {}, "annotations": annotations}
    httpx.post(f"{url}?connectionId=github", json=body).raise_for_status()
    while httpx.get(f"{url}/github").status_code != 200:
        pass


def test_a_connection_that_waits_for_somebody_shows_the_link(look: Look, host: str) -> None:
    connect(host, "waits-for-consent", "PENDING_USER_OAUTH")
    connection = only(look(project="waits-for-consent", trigger=TRIGGER), "connection")
    assert connection.state is State.FAILED
    assert connection.fix.startswith("Open https://console.cloud.google.com/cloud-build/")
    connect(host, "has-consent", "COMPLETE")
    found = look(project="has-consent", trigger=TRIGGER)
    assert only(found, "connection").state is State.OK


def test_the_agent_that_keeps_githubs_token_needs_its_role(look: Look, host: str) -> None:
    lacking, _ = look(project="agents-project", trigger=TRIGGER)["agents"]
    assert lacking.state is State.FAILED
    command = lacking.fix.split()
    assert command[:4] == ["gcloud", "projects", "add-iam-policy-binding", "agents-project"]
    given = dict(each.removeprefix("--").split("=") for each in command[4:])
    policy = {"bindings": [{"role": given["role"], "members": [given["member"]]}]}
    url = f"http://{host}/cloudresourcemanager/v3/projects/agents-project:setIamPolicy"
    httpx.post(url, json={"policy": policy}).raise_for_status()
    has, _ = look(project="agents-project", trigger=TRIGGER)["agents"]
    assert has.state is State.OK


def test_the_agent_of_a_connection_that_works_has_what_it_needs(look: Look, host: str) -> None:
    connect(host, "works-already", "COMPLETE")
    agent, _ = look(project="works-already", trigger=TRIGGER)["agents"]
    assert agent.text == "Cloud Build's keeps GitHub's token already"


def examined(limited: Limited) -> dict[str, list[Finding]]:
    """What is found by an account with limited permissions."""
    environment = limited.environment
    resources = stack(environment, limited.folder)
    return by_check(Context(environment, limited.folder, limited.cloud, resources))


def test_exactly_what_the_plan_needs_is_asked_for(host: str, folder: Path) -> None:
    # Nobody is declared to call the service and nothing pushed is released, so there is nothing to
    # grant on it, on the job and on the accounts.
    bare = ("run.services", "run.jobs", "iam.serviceAccounts")
    due = wanted(folder, "read", "create") - {f"{each}.setIamPolicy" for each in bare}
    limited = Limited(host, folder, due)
    made = only(examined(limited), "permissions")
    assert made.state is State.OK
    assert made.text == f"all {len(due)} that this plan needs"
    assert not limited.run()[0].count(Status.FAILED)
    again = only(examined(limited), "permissions")
    assert again.text == f"all {len(wanted(folder, 'read'))} that this plan needs"


def test_a_missing_permission_is_named_with_the_command_that_grants_it(
    host: str, folder: Path
) -> None:
    lacks = {"cloudsql.instances.create", "run.services.create"}
    limited = Limited(host, folder, wanted(folder, "read", "create") - lacks)
    project = limited.environment.project
    sql, run = examined(limited)["permissions"]
    assert sql.text == "missing cloudsql.instances.create"
    assert (
        f"gcloud projects add-iam-policy-binding {project} "
        f"--member=serviceAccount:{ACCOUNT}@{project}.iam.gserviceaccount.com "
        "--role=roles/cloudsql.admin --condition=None" in sql.fix
    )
    assert run.text == "missing run.services.create"


def test_of_what_can_not_be_read_everything_is_asked_for(host: str, folder: Path) -> None:
    enough = wanted(folder, "read", "create", "update")
    limited = Limited(host, folder, enough - {"run.jobs.list", "run.jobs.update"})
    # An API that is not enabled has nothing to be read.
    enable(host, limited.environment.project, "run")
    (lacking,) = examined(limited)["permissions"]
    assert lacking.text == "missing run.jobs.list, run.jobs.update"


def disable_trigger(limited: Limited) -> None:
    """Drift that is mended by one who may act as the account that builds."""
    builds, parent = limited.owner.builds, limited.owner.names.location
    (trigger,) = builds.list_build_triggers(ListBuildTriggersRequest(parent=parent))
    trigger.disabled = True
    builds.update_build_trigger(UpdateBuildTriggerRequest(trigger=trigger))


def let_act_as(limited: Limited, *accounts: str) -> None:
    """Grants it on each of the service's accounts."""
    for each in accounts:
        email = limited.owner.names.account(each)
        project = limited.environment.project
        url = f"{limited.owner.url('iam')}/v1/projects/{project}/serviceAccounts/{email}"
        member = f"serviceAccount:{limited.environment.impersonate}"
        set_policy(limited.owner, url, "roles/iam.serviceAccountUser", [member])


def test_to_act_as_the_accounts_may_be_granted_on_them(host: str, folder: Path) -> None:
    enough = wanted(folder, "read", "create", "update")
    limited = Limited(host, folder, enough)
    assert not limited.run()[0].count(Status.FAILED)
    limited.allow(enough - {permissions.ACT_AS})
    disable_trigger(limited)
    (lacking,) = examined(limited)["permissions"]
    assert lacking.text == f"missing {permissions.ACT_AS}"
    let_act_as(limited, "run", "build", "migrate")
    assert only(examined(limited), "permissions").state is State.OK


def test_the_role_that_is_named_has_the_permission(folder: Path) -> None:
    resources = stack(declare(trigger=TRIGGER), folder)
    for permission in least(resources, destroy=True):
        role = role_for(permission)
        assert role, f"no role is named for {permission}"
        assert roles.grants(role, permission), f"{role} has no {permission}"
