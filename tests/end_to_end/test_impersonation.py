"""An environment that acts as a service account: it may do what that account may, and no more."""

import re
from pathlib import Path

import httpx
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]

from infra.cloud import Cloud
from infra.environment import load
from tests.end_to_end.small import Small
from tests.template.bakes import REPOSITORY

PROJECT = "acting-project"
DEPLOYER = f"deployer@{PROJECT}.iam.gserviceaccount.com"
# Those that the docs say are needed.
ROLES = re.findall(
    r"^roles/\S+$", (REPOSITORY / "docs/environments.md").read_text("utf-8"), re.MULTILINE
)


def grant(service: Small, *roles: str) -> None:
    """The project's owner gives the deployer exactly these roles."""
    cloud = Cloud(
        load(service.folder, "stg").model_copy(update={"impersonate": None}), service.host
    )
    kept = [
        binding
        for binding in cloud.projects.get_iam_policy(resource=f"projects/{PROJECT}").bindings
        if f"serviceAccount:{DEPLOYER}" not in binding.members
    ]
    members = [f"serviceAccount:{DEPLOYER}"]
    new = [policy_pb2.Binding(role=role, members=members) for role in roles]
    policy = policy_pb2.Policy(bindings=[*kept, *new], version=3)
    resource = f"projects/{PROJECT}"
    cloud.projects.set_iam_policy(
        iam_policy_pb2.SetIamPolicyRequest(resource=resource, policy=policy)
    )


def callers(service: Small) -> set[str]:
    """Who made the calls since the last time, but for those that ask for a token."""
    journal = f"http://{service.host}/emulator/journal"
    calls = httpx.get(journal).json()["calls"]
    httpx.delete(journal)
    return {call["caller"] for call in calls if call["product"] != "iamcredentials"}


def test_it_may_do_what_the_account_may(host: str, tmp_path: Path) -> None:
    service = Small.make(tmp_path, host, PROJECT, f"impersonate: {DEPLOYER}\n")
    missing = service.run("provision")
    assert missing.returncode == 2, missing.stdout
    assert f"there is no acting as {DEPLOYER}" in missing.stdout
    assert "roles/iam.serviceAccountTokenCreator" in missing.stdout
    assert missing.stdout.count("error:") == 1

    accounts = f"http://{host}/iam/v1/projects/{PROJECT}/serviceAccounts"
    httpx.post(accounts, json={"accountId": "deployer"}).raise_for_status()
    callers(service)
    powerless = service.run("provision")
    assert powerless.returncode == 1, powerless.stdout
    assert "Permission 'resourcemanager.projects.getIamPolicy' denied" in powerless.stdout
    assert "needs the permission resourcemanager.projects.getIamPolicy" in powerless.stdout
    assert "nothing was changed" in powerless.stdout

    grant(service, *(role for role in ROLES if role != "roles/secretmanager.admin"))
    lacking = service.run("provision")
    assert lacking.returncode == 1, lacking.stdout
    needed = set(re.findall(r"needs the permission (\S+)", lacking.stdout))
    assert "secretmanager.secrets.list" in needed
    assert all(permission.startswith("secretmanager.") for permission in needed), needed
    assert "--role=roles/secretmanager.admin" in lacking.stdout

    grant(service, *ROLES)
    callers(service)
    assert "failed=0" in service.passes("provision")
    assert "changed=0" in service.passes("provision")
    assert callers(service) == {f"serviceAccount:{DEPLOYER}"}


def test_it_may_not_act_as_an_account_that_is_disabled(host: str, tmp_path: Path) -> None:
    project = "disabled-project"
    email = f"deployer@{project}.iam.gserviceaccount.com"
    service = Small.make(tmp_path, host, project, f"impersonate: {email}\n")
    accounts = f"http://{host}/iam/v1/projects/{project}/serviceAccounts"
    httpx.post(accounts, json={"accountId": "deployer"}).raise_for_status()
    httpx.post(f"{accounts}/{email}:disable").raise_for_status()
    done = service.run("status")
    assert done.returncode == 2, done.stdout
    assert f"Service account {email} is disabled." in done.stdout
