"""An emulator in a process of its own, and Google's clients that talk to it."""

import json
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import service_usage_v1
from google.oauth2.credentials import Credentials

from infra.emulator.services import TITLES

PATIENCE = 60.0
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP: to read this machine's certificates would take 40 ms for each client."""


def finish(operation: Any) -> Any:
    """Returns what a long-running operation comes to, or raises its error."""
    return operation.result()


class Emulator:
    """`python -m infra.emulator` on a folder, once `start` has been called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> "Emulator":
        """Returns when it answers."""
        command = [sys.executable, "-m", "infra.emulator", "--state", str(self.folder), *options]
        log = self.folder.with_suffix(".log")
        with log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        announcement = self.folder / "emulator.json"
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if announcement.exists():
                said = json.loads(announcement.read_text())
                if said["pid"] == self.process.pid:
                    self.host = said["host"]
                    return self
            time.sleep(0.05)
        raise AssertionError(f"the emulator did not start:\n{log.read_text()}")

    def stop(self) -> int:
        """Sends SIGTERM and returns the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """Sends SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)

    def arguments(self, prefix: str, account: str = "") -> dict[str, Any]:
        """What a REST client is made with; as a service account, if one is given."""
        credentials = Credentials(f"emulated:{account}") if account else AnonymousCredentials()  # type: ignore[no-untyped-call]
        endpoint = ClientOptions(api_endpoint=f"http://{self.host}/{prefix}")
        return {"transport": "rest", "credentials": credentials, "client_options": endpoint}

    def http(self, account: str = "") -> httpx.Client:
        """A plain client, for APIs that have none."""
        headers = {"authorization": f"Bearer emulated:{account}"} if account else {}
        return httpx.Client(base_url=f"http://{self.host}", headers=headers, verify=PLAIN)

    def fault(self, **rule: Any) -> str:
        """Puts a fault in force and returns its id."""
        answer = self.http().post("/emulator/faults", json=rule)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def used(self, fault: str) -> int:
        """How often a fault has happened."""
        rules = self.http().get("/emulator/faults").json()["faults"]
        return next(int(one["used"]) for one in rules if one["id"] == fault)

    def calls(self) -> list[dict[str, Any]]:
        """What was called since `forget`."""
        found: list[dict[str, Any]] = self.http().get("/emulator/journal").json()["calls"]
        return found

    def forget(self) -> None:
        """Empties the journal."""
        self.http().delete("/emulator/journal").raise_for_status()

    def enable_all(self, project: str) -> None:
        """Enables every API in a project."""
        client = service_usage_v1.ServiceUsageClient(**self.arguments("serviceusage"))
        names = sorted(TITLES)
        for some in (names[:20], names[20:]):
            request = {"parent": f"projects/{project}", "service_ids": some}
            finish(client.batch_enable_services(request))
