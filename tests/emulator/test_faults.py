"""Faults by rule, as Google's own clients meet them."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud import secretmanager_v1

from tests.emulator.emulators import Emulator

SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"


class Secrets:
    """A project's secrets, by a client that does not try again by itself."""

    def __init__(self, emulator: Emulator, project: str) -> None:
        self.client = secretmanager_v1.SecretManagerServiceClient(
            **emulator.arguments("secretmanager")
        )
        self.parent = f"projects/{project}"

    def create(self, name: str, **labels: str) -> secretmanager_v1.Secret:
        secret: dict[str, Any] = {"replication": {"automatic": {}}, "labels": labels}
        request = {"parent": self.parent, "secret_id": name, "secret": secret}
        return self.client.create_secret(request=request, retry=None)

    def get(self, name: str) -> secretmanager_v1.Secret:
        return self.client.get_secret(name=f"{self.parent}/secrets/{name}", retry=None)

    def names(self) -> list[str]:
        return [one.name.rpartition("/")[2] for one in self.client.list_secrets(parent=self.parent)]


@pytest.fixture
def secrets(emulator: Emulator, project: str) -> Iterator[Secrets]:
    """A project's secrets; the faults that a test makes end with it."""
    yield Secrets(emulator, project)
    emulator.http().delete("/emulator/faults").raise_for_status()


def test_the_nth_call_that_fits_is_answered_an_error(emulator: Emulator, secrets: Secrets) -> None:
    fault = emulator.fault(
        method="*.SecretManagerService.CreateSecret",
        kind="error",
        status=429,
        message="Quota exceeded.",
        reason="RATE_LIMIT_EXCEEDED",
        nth=2,
    )
    secrets.create("one")
    with pytest.raises(exceptions.TooManyRequests, match=r"Quota exceeded\.") as failure:
        secrets.create("two")
    assert failure.value.reason == "RATE_LIMIT_EXCEEDED"
    secrets.create("three")
    assert secrets.names() == ["three", "one"]
    listed = emulator.http().get("/emulator/faults").json()["faults"]
    assert [(one["id"], one["matched"], one["used"]) for one in listed] == [(fault, 3, 1)]


def test_an_error_afterwards_is_a_success_that_was_lost(
    emulator: Emulator, secrets: Secrets
) -> None:
    fault = emulator.fault(method="*CreateSecret", kind="error", after=True, times=1)
    emulator.forget()
    with pytest.raises(exceptions.ServiceUnavailable):
        secrets.create("lost")
    assert secrets.get("lost").name.endswith("/lost")
    assert [(one["status"], one["fault"]) for one in emulator.calls()] == [(503, fault), (200, "")]


def test_the_older_apis_get_errors_of_their_own_shape(emulator: Emulator, project: str) -> None:
    fault = emulator.fault(method="storage*insert", kind="error", status=503)
    answer = emulator.http().post("/storage/storage/v1/b", params={"project": project}, json={})
    emulator.http().delete(f"/emulator/faults/{fault}")
    assert answer.status_code == 503
    assert answer.json()["error"]["errors"][0]["reason"] == "backendError"


@pytest.mark.parametrize(("after", "kept"), [(False, []), (True, ["cut"])])
def test_a_reset_is_one_of_the_connection(
    emulator: Emulator, secrets: Secrets, after: bool, kept: list[str]
) -> None:
    fault = emulator.fault(method="*CreateSecret", kind="reset", after=after, first=1)
    emulator.forget()
    with pytest.raises(requests.ConnectionError) as failure:
        secrets.create("cut")
    assert isinstance(failure.value.args[0].args[1], ConnectionResetError)
    assert secrets.names() == kept
    assert [(one["status"], one["fault"]) for one in emulator.calls()] == [
        (200 if after else 0, fault),
        (200, ""),
    ]


def test_a_probability_strikes_the_same_calls_for_the_same_seed(
    emulator: Emulator, secrets: Secrets
) -> None:
    def struck(seed: int) -> list[bool]:
        fault = emulator.fault(method="*GetSecret", kind="error", probability=0.5, seed=seed)
        found = []
        for _ in range(20):
            try:
                secrets.get("there")
            except exceptions.ServiceUnavailable:
                found.append(True)
            else:
                found.append(False)
        emulator.http().delete(f"/emulator/faults/{fault}")
        return found

    secrets.create("there")
    assert struck(7) == struck(7) != struck(8)
    assert 0 < sum(struck(7)) < 20


def test_writes_alone_can_be_struck(emulator: Emulator, secrets: Secrets) -> None:
    emulator.fault(path="/secretmanager/*", write=True, kind="error", status=500)
    assert secrets.names() == []
    with pytest.raises(exceptions.InternalServerError):
        secrets.create("never")


def test_several_faults_happen_to_one_call(emulator: Emulator, secrets: Secrets) -> None:
    delay = emulator.fault(method="*CreateSecret", kind="delay", seconds=0.01)
    lost = emulator.fault(method="*CreateSecret", kind="error", after=True)
    emulator.forget()
    with pytest.raises(exceptions.ServiceUnavailable):
        secrets.create("both")
    assert emulator.calls()[0]["fault"] == f"{delay},{lost}"


def test_a_fault_that_is_deleted_happens_no_more(emulator: Emulator, secrets: Secrets) -> None:
    fault = emulator.fault(method="*", kind="error")
    emulator.http().delete(f"/emulator/faults/{fault}").raise_for_status()
    secrets.create("fine")
    again = emulator.http().delete(f"/emulator/faults/{fault}")
    assert again.status_code == 404
    assert f"no fault {fault}" in again.json()["error"]["message"]


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({}, "kind"),
        ([], "body"),
        ({"kind": "eror"}, "kind"),
        ({"kind": "error", "status": "503"}, "status"),
        ({"kind": "error", "status": 200}, "status"),
        ({"kind": "error", "name": "BUSY"}, "name"),
        ({"kind": "error", "metod": "*"}, "metod"),
        ({"kind": "error", "nth": 0}, "nth"),
        ({"kind": "error", "nth": 1, "first": 2}, "first"),
        ({"kind": "error", "probability": 1.5}, "probability"),
        ({"kind": "delay"}, "seconds"),
        ({"kind": "delay", "seconds": -1}, "seconds"),
        ({"kind": "late", "seconds": 0}, "seconds"),
        ({"kind": "operation"}, "name"),
    ],
)
def test_a_rule_that_is_wrong_is_refused_by_field(
    emulator: Emulator, rule: object, field: str
) -> None:
    answer = emulator.http().post("/emulator/faults", json=rule)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert field in error["message"]
    assert error["details"][0]["fieldViolations"][0]["field"] == field


def test_faults_are_gone_at_a_restart(own_emulator: Emulator) -> None:
    own_emulator.start()
    own_emulator.fault(kind="error")
    own_emulator.kill()
    own_emulator.start()
    assert own_emulator.http().get("/emulator/faults").json() == {"faults": []}
