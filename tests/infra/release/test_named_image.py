"""An image that somebody names, instead of one that is built."""

from threading import Event

import pytest

from infra.cloud import Cloud
from infra.project import ProjectError
from infra.release import ReleaseError, build
from infra.resources.base import Work
from infra.retry import Retry
from infra.tasks.deploy import named_by
from infra.tasks.stages.image import Named
from tests.infra.services import declare

DIGEST = f"sha256:{'a' * 64}"
OURS = "europe-west1-docker.pkg.dev/named-project/orders/orders"


@pytest.fixture
def work(host: str) -> Work:
    """What a project without any image is called with."""
    cloud = Cloud(declare(project="named-project"), host)
    cloud.session.post(
        f"{cloud.url('serviceusage')}/v1/projects/named-project/services:batchEnable",
        json={"serviceIds": ["artifactregistry.googleapis.com"]},
    )
    return Work(cloud, Retry(Event()), {})


@pytest.mark.parametrize("place", [OURS, "another.dev/project/image"])
def test_a_digest_is_what_it_is_wherever(work: Work, place: str) -> None:
    assert build.find_named(work, f"{place}@{DIGEST}") == f"{place}@{DIGEST}"
    assert build.find_named(work, f"{place}:v1@{DIGEST}") == f"{place}@{DIGEST}"


@pytest.mark.parametrize("text", ["orders", OURS, f"{OURS}@sha256:1", "another.dev/a/b:v1", ":v1"])
def test_what_may_be_another_image_tomorrow_is_refused(work: Work, text: str) -> None:
    with pytest.raises(ProjectError, match=rf"by its digest.* or by a tag of .*{OURS}:TAG"):
        build.find_named(work, text)


def test_a_tag_that_was_not_pushed_is_said(work: Work) -> None:
    with pytest.raises(ReleaseError, match="nothing was pushed under that tag"):
        build.find_named(work, f"{OURS}:v1")


def test_the_options_go_together_or_are_refused() -> None:
    assert named_by("", "", "", rebuild=True) is None
    assert named_by("a", "b", "c", rebuild=False) == Named("a", "b", "c")
    with pytest.raises(ProjectError, match="name that too"):
        named_by("", "b", "", rebuild=False)
    with pytest.raises(ProjectError, match="--rebuild"):
        named_by("a", "", "", rebuild=True)
