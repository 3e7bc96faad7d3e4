"""A release holds the lease that provision holds: one at a time writes to an environment."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra import lease
from infra.cloud import Cloud
from infra.environment import Environment
from infra.project import Project
from infra.release import ReleaseError
from infra.retry import Stopped
from infra.tasks.opening import Opened
from infra.tasks.releasing import releasing, step_of

type Open = Callable[..., Opened]


@pytest.fixture
def opened(host: str, tmp_path: Path) -> Open:
    """Opens a service in a project, of which there is the bucket of the lease, or nothing."""

    def of_project(project: str, *, has_bucket: bool = True) -> Opened:
        given = {"name": "stg", "project": project, "region": "europe-west1"}
        environment = Environment.model_validate({**given, "service": {"name": "orders"}})
        cloud = Cloud(environment, host)
        if has_bucket:
            cloud.session.post(
                f"{cloud.url('serviceusage')}/v1/projects/{project}/services:batchEnable",
                json={"serviceIds": ["storage.googleapis.com"]},
            )
            names = cloud.names
            cloud.storage.create_bucket(names.bucket, project=project, location=names.region)
        return Opened(Project(tmp_path), environment, cloud)

    return of_project


def test_a_provision_under_way_keeps_a_release_from_beginning(opened: Open) -> None:
    service = opened("busy-project")
    begun = []
    with (
        lease.held(service.cloud, "invoke provision --env stg"),
        pytest.raises(lease.LeaseError, match=r"running `invoke provision --env stg`"),
        releasing(service, "deploy"),
    ):
        begun.append(service)
    assert not begun


def test_whoever_comes_meanwhile_learns_what_runs(opened: Open) -> None:
    service = opened("told-project")
    with releasing(service, "deploy"):
        holder = lease.find(service.cloud)
        assert holder is not None
        assert holder.command == "invoke deploy --env stg"
    assert lease.find(service.cloud) is None


def test_a_failed_release_gives_it_back(opened: Open) -> None:
    service = opened("back-project")
    with pytest.raises(ReleaseError, match="it is broken"), releasing(service, "deploy"):
        raise ReleaseError("it is broken")
    assert lease.find(service.cloud) is None


def test_one_that_lost_it_begins_nothing_more(opened: Open) -> None:
    service = opened("lost-project")
    begun = []
    with (
        pytest.raises(ReleaseError, match="interrupted"),
        releasing(service, "deploy") as work,
    ):
        with step_of(work, "the first"):
            begun.append("the first")
        work.retry.stop.set()
        with step_of(work, "the second"):
            begun.append("the second")
    assert begun == ["the first"]


@pytest.mark.parametrize("command", ["deploy", "migrate"])
def test_what_was_not_provisioned_is_said(opened: Open, command: str) -> None:
    service = opened(f"no-{command}-project", has_bucket=False)
    with (
        pytest.raises(ReleaseError, match="run invoke provision --env stg first"),
        releasing(service, command),
    ):
        raise AssertionError("there is nothing to release to")


def test_a_step_waits_no_longer_than_the_lease_is_ours(opened: Open) -> None:
    service = opened("wait-project")
    with pytest.raises(ReleaseError), releasing(service, "deploy") as work:
        work.retry.stop.set()
        with pytest.raises(Stopped):
            work.retry.pause(600)
        raise Stopped
