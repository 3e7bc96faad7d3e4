"""Service accounts for tests."""

from tests.emulator.emulators import Emulator


def create_account(emulator: Emulator, project: str, account_id: str) -> str:
    """Creates a service account and returns its email."""
    path = f"/iam/v1/projects/{project}/serviceAccounts"
    answer = emulator.http().post(path, json={"accountId": account_id})
    answer.raise_for_status()
    return str(answer.json()["email"])
