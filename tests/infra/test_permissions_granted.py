"""Least privilege, held: no primitive role, and nothing on the project that has a smaller place."""

import pytest

from infra.tasks.docs import ACCOUNTS, WHY, grants, permissions

PROJECT = "the project"
PRIMITIVE = {"roles/owner", "roles/editor", "roles/viewer"}
# The smallest thing each role can be granted on, from Google's "IAM roles and permissions index",
# "lowest-level resources where you can grant this role".
LOWEST = {
    "roles/artifactregistry.reader": "the repository of the images",
    "roles/artifactregistry.writer": "the repository of the images",
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


def faults(granted: list[tuple[str, str, str]]) -> list[str]:
    """What is more than the least."""
    found = [f"{role} is primitive" for _, role, _ in granted if role in PRIMITIVE]
    found += [f"{role} is not in the table" for _, role, _ in granted if role not in LOWEST]
    return found + [
        f"{role} can be granted on {LOWEST[role]}"
        for _, role, on in granted
        if on == PROJECT and LOWEST.get(role, PROJECT) != PROJECT
    ]


def test_every_role_is_on_the_smallest_thing() -> None:
    assert faults(grants()) == []


@pytest.mark.parametrize("role", ["roles/editor", "roles/storage.objectViewer", "roles/new.role"])
def test_a_role_that_is_more_is_noticed(role: str) -> None:
    assert faults([("run", role, PROJECT)])


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
