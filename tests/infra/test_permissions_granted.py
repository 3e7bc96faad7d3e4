"""Least privilege, held: no primitive role, and nothing on the project that has a smaller place."""

import pytest

from infra.doctor.role import LEASE, RELEASE, needed
from infra.emulator import roles
from infra.stack import stack
from infra.tasks.docs import ACCOUNTS, DOCS, WHY, exemplary, grants, permissions

PROJECT = "the project"
PRIMITIVE = {"roles/owner", "roles/editor", "roles/viewer"}
# The smallest thing each role can be granted on, from Google's "IAM roles and permissions index",
# "lowest-level resources where you can grant this role".
LOWEST = {
    "roles/artifactregistry.reader": "the repository of the images",
    "roles/artifactregistry.writer": "the repository of the images",
    "roles/cloudbuild.builds.viewer": PROJECT,
    "roles/cloudbuild.connectionViewer": PROJECT,
    "roles/cloudsql.viewer": PROJECT,
    "roles/iam.securityReviewer": PROJECT,
    "roles/iam.serviceAccountViewer": "the account",
    "roles/logging.viewer": PROJECT,
    "roles/monitoring.viewer": PROJECT,
    "roles/run.developer": "the service",
    "roles/secretmanager.viewer": "the secret",
    "roles/serviceusage.serviceUsageViewer": PROJECT,
    "roles/storage.bucketViewer": "the bucket of the source",
    "roles/storage.objectUser": "the bucket of the source",
    "roles/cloudsql.client": PROJECT,
    "roles/cloudtrace.agent": PROJECT,
    "roles/iam.serviceAccountUser": "the account",
    "roles/logging.logWriter": PROJECT,
    "roles/run.invoker": "the service",
    "roles/run.viewer": "the service",
    "roles/secretmanager.secretAccessor": "the secret",
    "roles/storage.objectAdmin": "the bucket of the source",
    "roles/storage.objectViewer": "the bucket of the source",
    "roles/telemetry.metricsWriter": PROJECT,
    "roles/telemetry.tracesWriter": PROJECT,
}

# On the project although there is a smaller thing, because what is asked for is there alone.
HERE_ALONE = {
    ("build", "roles/run.viewer"): "run.operations.get",
    ("build", "roles/secretmanager.viewer"): "secretmanager.secrets.list",
    ("checks", "roles/artifactregistry.reader"): "artifactregistry.repositories.list",
    ("checks", "roles/iam.serviceAccountViewer"): "iam.serviceAccounts.list",
    ("checks", "roles/run.viewer"): "run.services.list",
    ("checks", "roles/secretmanager.viewer"): "secretmanager.secrets.list",
    ("checks", "roles/storage.bucketViewer"): "storage.buckets.list",
}


def faults(granted: list[tuple[str, str, str]]) -> list[str]:
    """What is more than the least."""
    found = [f"{role} is primitive" for _, role, _ in granted if role in PRIMITIVE]
    found += [f"{role} is not in the table" for _, role, _ in granted if role not in LOWEST]
    return found + [
        f"{role} can be granted on {LOWEST[role]}"
        for account, role, on in granted
        if on == PROJECT and LOWEST.get(role, PROJECT) != PROJECT
        if (account, role) not in HERE_ALONE
    ]


def test_every_role_is_on_the_smallest_thing() -> None:
    assert faults(grants()) == []


@pytest.mark.parametrize("role", ["roles/editor", "roles/storage.objectViewer", "roles/new.role"])
def test_a_role_that_is_more_is_noticed(role: str) -> None:
    assert faults([("run", role, PROJECT)])


def test_what_is_asked_for_on_the_project_alone_is_in_the_role() -> None:
    assert HERE_ALONE.keys() <= {(account, role) for account, role, _ in grants()}
    for (_, role), permission in HERE_ALONE.items():
        assert roles.grants(role, permission)


def on_what(*accounts: str) -> set[str]:
    """All permissions that some accounts have, wherever."""
    names = {role for account, role, _ in grants() if account in accounts}
    return {
        permission
        for step in (*RELEASE.values(), LEASE, needed(stack(exemplary(), DOCS.parent), ["read"]))
        for permission in step
        if any(roles.grants(role, permission) for role in names)
    }


def test_the_account_that_builds_may_do_all_that_a_release_takes() -> None:
    """Of an image that is there: it uploads nothing, and starts no build."""
    steps = RELEASE.keys() - {"upload the source", "build the image"}
    wanted = {permission for step in steps for permission in RELEASE[step]} | {*LEASE}
    assert wanted | {"artifactregistry.tags.get"} <= on_what("build")


def test_the_account_that_checks_may_read_what_a_plan_does_and_no_secret() -> None:
    wanted = needed(stack(exemplary(), DOCS.parent), ["read"])
    assert wanted <= on_what("checks")
    mine = {role for account, role, _ in grants() if account == "checks"}
    for forbidden in (
        "secretmanager.versions.access",
        "storage.objects.get",
        "cloudsql.instances.connect",
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.getAccessToken",
        "run.services.update",
        "run.routes.invoke",
    ):
        assert not any(roles.grants(role, forbidden) for role in mine), forbidden


def test_every_account_is_in_the_table() -> None:
    assert {account for account, _, _ in grants()} == set(ACCOUNTS)
    assert {(account, role) for account, role, _ in grants()} == set(WHY)
    for account, role, on in grants():
        assert f"| {account} | `{role}` | {on} |" in permissions()


def test_who_may_read_secrets_is_told_apart() -> None:
    readers = {(account, on) for account, role, on in grants() if "secretAccessor" in role}
    assert readers == {
        ("run", "the secret with the database's password"),
        ("run", "each declared secret"),
        ("migrate", "the secret with the database's password"),
    }
