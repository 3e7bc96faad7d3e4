"""What is still being deleted when a run begins: it is waited for, and made anew with its parts."""

from pathlib import Path

import pytest
import requests

from infra.emulated_clock import EmulatedClock
from tests.infra.ours import Ours, is_well
from tests.infra.services import write
from tests.infra.worlds import fault, hollow_cloud, snapshot

HUNDRED_SECONDS = {"kind": "operation", "seconds": 100}
SERVICE = "run/v2/projects/{project}/locations/europe-west1/services/orders"
INSTANCE = "sqladmin/sql/v1beta4/projects/{project}/instances/orders"


@pytest.mark.parametrize(
    ("path", "method"),
    [(SERVICE, "*Services.DeleteService"), (INSTANCE, "*SqlInstancesService.Delete")],
)
def test_what_is_being_deleted_is_made_anew_with_all_its_parts(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, path: str, method: str
) -> None:
    with hollow_cloud(tmp_path_factory.mktemp("cloud")) as emulator:
        service = {"name": "orders", "invokers": ["allUsers", "group:callers@acme.com"]}
        database = {"deletion_protection": False}
        fields = {"service": service, "database": database}
        ours = Ours.make(emulator.host, write(tmp_path), "half-deleted", **fields)
        ours.clock = clock = EmulatedClock(emulator.host)
        clock.freeze()
        assert is_well(ours.provision()), ours.told()
        whole = snapshot(emulator.host, "half-deleted")
        with fault(emulator, **HUNDRED_SECONDS, method=method) as slow:
            url = f"http://{emulator.host}/{path.format(project='half-deleted')}"
            requests.delete(url, timeout=60).raise_for_status()
            assert emulator.used(slow)
        assert is_well(ours.provision()), ours.told()
        assert snapshot(emulator.host, "half-deleted") == whole
