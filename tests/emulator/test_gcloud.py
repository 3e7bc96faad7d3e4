"""gcloud, unmodified, as a second client. A call takes it a second or more: they are few."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator

pytestmark = pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")

PREFIXES = {
    "ARTIFACTREGISTRY": "artifactregistry",
    "CLOUDRESOURCEMANAGER": "cloudresourcemanager",
    "IAM": "iam",
    "LOGGING": "logging",
    "SECRETMANAGER": "secretmanager",
    "SERVICEUSAGE": "serviceusage",
    # gcloud takes an endpoint with a path for the whole of `https://host/storage/v1/`.
    "STORAGE": "storage/storage/v1",
}


class Gcloud:
    """gcloud with the settings that send it to an emulator, and none of the user's."""

    def __init__(self, emulator: Emulator, project: str, folder: Path) -> None:
        self.environment = {
            **{key: value for key, value in os.environ.items() if "CLOUDSDK" not in key},
            "CLOUDSDK_CONFIG": str(folder),
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "True",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "True",
            "CLOUDSDK_CORE_PROJECT": project,
            **{
                f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"http://{emulator.host}/{prefix}/"
                for name, prefix in PREFIXES.items()
            },
        }

    def text(self, *arguments: str, given: str = "") -> str:
        """What it prints; it must succeed."""
        done = subprocess.run(
            ["gcloud", *arguments],
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """What it answers as JSON."""
        return json.loads(self.text(*arguments, "--format=json"))


@pytest.fixture
def gcloud(emulator: Emulator, project: str, tmp_path: Path) -> Gcloud:
    return Gcloud(emulator, project, tmp_path / "gcloud")


def test_secrets(gcloud: Gcloud) -> None:
    gcloud.text("secrets", "create", "password", "--data-file=-", given="hush")
    command = ("secrets", "versions", "access", "latest", "--secret=password")
    assert gcloud.text(*command) == "hush"
    assert len(gcloud.json("secrets", "list")) == 1


def test_accounts_services_and_policies(emulator: Emulator, gcloud: Gcloud, project: str) -> None:
    email = create_account(emulator, project, "orders-run")
    found = gcloud.json("iam", "service-accounts", "list")
    assert [one["email"] for one in found] == [email]
    enabled = gcloud.json("services", "list", "--enabled")
    assert "run.googleapis.com" in [one["config"]["name"] for one in enabled]
    role, member = "roles/cloudsql.client", f"serviceAccount:{email}"
    gcloud.text(
        "projects",
        "add-iam-policy-binding",
        project,
        f"--member={member}",
        f"--role={role}",
        "--condition=None",
    )
    policy = gcloud.json("projects", "get-iam-policy", project)
    assert policy["bindings"] == [{"role": role, "members": [member]}]


def test_storage(gcloud: Gcloud, project: str, tmp_path: Path) -> None:
    there, back = tmp_path / "there.bin", tmp_path / "back.bin"
    there.write_bytes(os.urandom(100_000))
    url = f"gs://{project}-files"
    gcloud.text("storage", "buckets", "create", url, "--location=europe-west1")
    gcloud.text("storage", "cp", str(there), f"{url}/a/b.bin")
    gcloud.text("storage", "cp", f"{url}/a/b.bin", str(back))
    assert back.read_bytes() == there.read_bytes()


def test_repositories_and_logs(gcloud: Gcloud) -> None:
    where = "--location=europe-west1"
    gcloud.text(
        "artifacts", "repositories", "create", "orders", where, "--repository-format=docker"
    )
    found = gcloud.json("artifacts", "repositories", "list", where)
    assert [one["name"].rpartition("/")[2] for one in found] == ["orders"]
    gcloud.text("logging", "write", "mine", "hello", "--severity=WARNING")
    entries = gcloud.json("logging", "read", "severity>=WARNING")
    assert [one["textPayload"] for one in entries] == ["hello"]
