"""A push to GitHub, on the local cloud: it builds, migrates and releases by the same road."""

import httpx
import pytest
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]

from infra.cloud import Cloud
from infra.environment import load
from tests.conftest import Bake
from tests.emulator.repositories import Worked
from tests.end_to_end.clouds import LocalCloud, counts
from tests.template.bakes import Baked

TRIGGER = """
trigger:
  repository: acme/pushed
  connection: github
  branch: ^main$
  deploy: true
"""
HEALTH = "src/routers/health_router.py"


def take_away(service: Baked, cloud: LocalCloud) -> None:
    """Takes from the account that builds what it may do with the service."""
    there = Cloud(load(service.folder, "local"), cloud.host)
    nobody = iam_policy_pb2.SetIamPolicyRequest(
        resource=there.names.service, policy=policy_pb2.Policy()
    )
    there.run_services.set_iam_policy(nobody)


def address(service: Baked, cloud: LocalCloud) -> str:
    """Where the service answers."""
    there = Cloud(load(service.folder, "local"), cloud.host)
    found: str = there.run_services.get_service(name=there.names.service).uri
    return found


@pytest.mark.long
def test_a_push_is_released_as_the_account_that_builds(baked: Bake, cloud: LocalCloud) -> None:
    service = baked(service="pushed", repository="acme/pushed")
    environment = service.folder / "environments/local.yaml"
    environment.write_text(environment.read_text() + TRIGGER)
    worked = Worked(service.folder)
    first = worked.commit("Declare a trigger")
    assert counts(cloud.passes(service, "provision"))["failed"] == 0

    # A grant that is missing fails a release here as it would on Google Cloud.
    take_away(service, cloud)
    denied = cloud.run(service, "emulator.push")
    assert denied.returncode == 1
    assert "run.services.update" in denied.stdout
    assert "the build failed: a step failed; step 4, release, ended with" in denied.stdout
    assert counts(cloud.passes(service, "provision"))["changed"] == 1

    health = service.folder / HEALTH
    health.write_text(health.read_text().replace('"Ready"', '"Pushed"'))
    second = worked.commit("Say it otherwise")
    health.write_text(health.read_text().replace('"Pushed"', '"Not committed"'))
    printed = cloud.passes(service, "emulator.push")
    assert f"{second[:12]} starts the trigger pushed" in printed
    assert "migrate the database ..." in printed
    assert "send it 100 % of the traffic" in printed
    url = address(service, cloud)
    assert httpx.get(f"{url}/health", timeout=60).json()["message"] == "Pushed"
    assert "No trigger is for this" in cloud.passes(service, "emulator.push", "--into", "main")

    listed = cloud.passes(service, "releases")
    (line,) = [line for line in listed.splitlines() if "100 %" in line]
    assert line.split()[0] == f"pushed-{second[:7]}-1"
    assert f"{second[:12]} (main)" in line
    assert "pushed-build@local-cloud.iam.gserviceaccount.com" in line
    assert first[:12] not in listed

    # By hand the same commit is not built again.
    worked.git("checkout", "--", HEALTH)
    again = cloud.passes(service, "deploy")
    assert f"{second[:12]} is built already" in again
    assert f"start revision pushed-{second[:7]}-2" in again

    # Nor is an image that is there; what is known of it is known of the release too.
    there = Cloud(load(service.folder, "local"), cloud.host)
    live = there.run_services.get_service(name=there.names.service)
    image = live.template.containers[0].image
    assert "@sha256:" in image
    by_digest = cloud.passes(service, "deploy", "--image", image)
    assert f"start revision pushed-{second[:7]}-3" in by_digest
    assert "upload" not in by_digest
    assert cloud.passes(service, "releases").count(f"{second[:12]} (main)") == 3
