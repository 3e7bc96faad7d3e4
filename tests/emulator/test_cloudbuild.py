"""Builds, through Cloud Build's own client."""

import io
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import artifactregistry_v1
from google.cloud.devtools import cloudbuild_v1
from google.cloud.devtools.cloudbuild_v1 import Build, CloudBuildClient

from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator
from tests.emulator.services import (
    FILES,
    REGION,
    archive,
    create_build,
    create_repository,
    docker_build,
    eventually,
    failure,
    grant,
    result,
    upload,
)

STATUS = Build.Status
NO_BUCKET = {"bucket": "none", "object_": "x"}
BASH = "gcr.io/cloud-builders/gcloud"


@pytest.fixture
def builds(emulator: Emulator) -> CloudBuildClient:
    return CloudBuildClient(**emulator.arguments("cloudbuild"))


@pytest.fixture
def parent(project: str) -> str:
    return f"projects/{project}/locations/{REGION}"


def bash(script: str, **more: Any) -> dict[str, Any]:
    return {"name": BASH, "entrypoint": "bash", "args": ["-c", script], **more}


def ended(builds: CloudBuildClient, parent: str, **build: Any) -> Build:
    """A build when it is over, whichever way."""
    operation = create_build(builds, parent=parent, build=build)
    metadata = operation.metadata.build
    failure(operation)
    return builds.get_build(request={"name": f"{parent}/builds/{metadata.id}"})


def log(emulator: Emulator, project: str, build: Build) -> list[str]:
    """The lines of a build, from Cloud Logging."""
    asked = {
        "resourceNames": [f"projects/{project}"],
        "filter": f'resource.type="build" AND resource.labels.build_id="{build.id}"',
        "orderBy": "timestamp asc",
        "pageSize": 1000,
    }
    answer = emulator.http().post("/logging/v2/entries:list", json=asked)
    return [entry["textPayload"] for entry in answer.json()["entries"]]


def test_an_image_is_built_and_pushed(
    emulator: Emulator, builds: CloudBuildClient, project: str, parent: str
) -> None:
    registry = create_repository(emulator, project)
    operation = create_build(
        builds,
        parent=parent,
        build={
            "source": upload(emulator, project, archive(FILES)),
            "steps": [
                {**docker_build("${_IMAGE}:base", "--target=dependencies"), "id": "dependencies"},
                {**docker_build("${_IMAGE}:$_TAG", "--build-arg=REVISION=${_TAG}"), "id": "image"},
            ],
            "images": ["${_IMAGE}:base", "${_IMAGE}:$_TAG"],
            "substitutions": {
                "_IMAGE": "${_REGION}-docker.pkg.dev/$PROJECT_ID/tiny/tiny",
                "_REGION": REGION,
                "_TAG": "v-${BUILD_ID}",
            },
            "options": {"dynamic_substitutions": True, "logging": "CLOUD_LOGGING_ONLY"},
        },
    )
    build = result(operation)
    assert build.status == STATUS.SUCCESS
    assert [step.status for step in build.steps] == [STATUS.SUCCESS] * 2
    assert build.finish_time > build.start_time
    names = [f"{registry}/tiny:base", f"{registry}/tiny:v-{build.id}"]
    assert [image.name for image in build.results.images] == names
    artifacts = artifactregistry_v1.ArtifactRegistryClient(**emulator.arguments("artifactregistry"))
    repository = f"projects/{project}/locations/{REGION}/repositories/tiny"
    found = {
        image.uri: list(image.tags) for image in artifacts.list_docker_images(parent=repository)
    }
    digest = build.results.images[1].digest
    assert found[f"{registry}/tiny@{digest}"] == [f"v-{build.id}"]
    lines = log(emulator, project, build)
    assert lines[0] == f'starting build "{build.id}"'
    assert any("COPY tiny tiny" in line for line in lines)
    assert lines[-1] == "DONE"


def test_the_same_source_is_the_same_image(
    emulator: Emulator, builds: CloudBuildClient, project: str, parent: str
) -> None:
    registry = create_repository(emulator, project)

    def digest(files: dict[str, str], **labels: str) -> str:
        more = [f"--build-arg={name}={value}" for name, value in labels.items()]
        build = ended(
            builds,
            parent,
            source=upload(emulator, project, archive(files)),
            steps=[docker_build(f"{registry}/tiny:x", *more)],
            images=[f"{registry}/tiny:x"],
        )
        return build.results.images[0].digest

    first = digest(FILES)
    assert digest({**FILES, "notes.txt": "not in the context"}) == first
    assert digest(FILES, REVISION="abc") != first
    assert digest({**FILES, "db/schema.sql": "SELECT 2"}) != first


def test_steps_run_in_order_in_one_workspace(
    builds: CloudBuildClient, parent: str, project: str
) -> None:
    operation = create_build(
        builds,
        parent=parent,
        build={
            "steps": [
                bash("mkdir sub && echo one > sub/file"),
                bash('test "$(cat file)" = one && test "$$WHO" = me', dir_="sub", env=["WHO=me"]),
                {"name": "bash", "script": 'test "$_NAME" = x', "automap_substitutions": True},
                bash("test $$HOME != / && test $PROJECT_ID = " + project),
                bash("exit 4", allow_exit_codes=[4]),
            ],
            "substitutions": {"_NAME": "x"},
        },
    )
    build = result(operation)
    assert [step.status for step in build.steps[:4]] == [STATUS.SUCCESS] * 4
    assert build.steps[4].exit_code == 4


def test_a_step_gets_nothing_of_who_started_the_emulator(
    own_emulator: Emulator, bare_project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "AWS_SECRET_ACCESS_KEY", "UV_PUBLISH_TOKEN"):
        monkeypatch.setenv(name, "/a/secret")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "77")
    own_emulator.start().enable_all(bare_project)
    parent = f"projects/{bare_project}/locations/{REGION}"
    email = "http://$$GCE_METADATA_HOST/computeMetadata/v1/instance/service-accounts/default/email"
    ask = (
        "import os, urllib.request as u; "
        "r = u.Request(os.path.expandvars('%s'), headers={'Metadata-Flavor': 'Google'}); "
        "print('I am', u.urlopen(r).read().decode())"
    )
    build = ended(
        CloudBuildClient(**own_emulator.arguments("cloudbuild")),
        parent,
        steps=[
            bash("! env | grep /a/secret && test $$UV_HTTP_TIMEOUT = 77"),
            {"name": "python", "args": ["-c", ask % email]},
        ],
    )
    assert build.status == STATUS.SUCCESS, build.status_detail
    lines = log(own_emulator, bare_project, build)
    assert any("@cloudbuild.gserviceaccount.com" in line for line in lines)


@pytest.mark.parametrize("what", ["cut off", "text", "out", "link"])
def test_an_archive_that_cannot_be_unpacked_fails_the_build(
    emulator: Emulator, builds: CloudBuildClient, project: str, parent: str, what: str
) -> None:
    content = {
        "cut off": archive({"file": "x" * 100_000})[:-100],
        "text": b"no archive",
        "out": archive({"../../escaped": "x"}),
        "link": with_link("../../../escaped"),
    }[what]
    source = upload(emulator, project, content)
    build = ended(builds, parent, source=source, steps=[bash("true")])
    assert build.status == STATUS.FAILURE
    assert build.failure_info.type_ == Build.FailureInfo.FailureType.FETCH_SOURCE_FAILED
    assert not [*emulator.folder.rglob("escaped")]


def with_link(target: str) -> bytes:
    """An archive of a link, and of a file below it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, target
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("link/file"))
    return buffer.getvalue()


def test_a_failing_step_ends_the_build(builds: CloudBuildClient, parent: str) -> None:
    build = ended(builds, parent, steps=[bash("exit 3"), bash("true")])
    assert build.status == STATUS.FAILURE
    assert build.failure_info.type_ == Build.FailureInfo.FailureType.USER_BUILD_STEP
    assert "step exited with non-zero status: 3" in build.failure_info.detail
    assert [step.status for step in build.steps] == [STATUS.FAILURE, STATUS.STATUS_UNKNOWN]


@pytest.mark.parametrize(
    ("dockerfile", "said"),
    [
        ("FROM python:3.13-slim\nRUN apt-get install -y libfoo", "apt-get install -y libfoo"),
        ("FROM python:3.13-slim\nCOPY missing .", '"/missing": not found'),
        ("FROM python:3.13-slim\nCOPY tiny/.env .", '"/tiny/.env": not found'),
        ("FROM python:3.13-slim\nFETCH x", "unknown instruction: FETCH"),
        ("FROM python:3.13-slim\nCOPY --from=node:22 /x .", "cannot copy from another image"),
        ("FROM python:3.13-slim\nWORKDIR /app\nRUN uv sync --frozen", "did not complete"),
    ],
)
def test_what_cannot_be_built_is_said(
    emulator: Emulator, builds: CloudBuildClient, project: str, dockerfile: str, said: str
) -> None:
    parent = f"projects/{project}/locations/{REGION}"
    build = ended(
        builds,
        parent,
        source=upload(emulator, project, archive({**FILES, "Dockerfile": dockerfile})),
        steps=[docker_build("x")],
    )
    assert build.status == STATUS.FAILURE
    assert any(said in line for line in log(emulator, project, build))


def test_a_step_that_needs_a_container_is_refused_by_name(
    emulator: Emulator, builds: CloudBuildClient, project: str, parent: str
) -> None:
    build = ended(builds, parent, steps=[{"name": "node:22", "entrypoint": "npm", "args": ["ci"]}])
    assert build.status == STATUS.FAILURE
    assert any("no container of node:22" in line for line in log(emulator, project, build))


def test_a_build_that_takes_too_long_is_ended(builds: CloudBuildClient, parent: str) -> None:
    build = ended(builds, parent, steps=[bash("exec sleep 600")], timeout={"seconds": 1})
    assert build.status == STATUS.TIMEOUT
    assert build.steps[0].status == STATUS.TIMEOUT


def test_a_build_is_cancelled(builds: CloudBuildClient, parent: str) -> None:
    operation = create_build(builds, parent=parent, build={"steps": [bash("exec sleep 600")]})
    name = f"{parent}/builds/{operation.metadata.build.id}"
    get: Callable[[], Build] = lambda: builds.get_build(request={"name": name})  # noqa: E731
    eventually(lambda: get().status == STATUS.WORKING)
    assert builds.cancel_build(request={"name": name}).status == STATUS.CANCELLED
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
        result(operation)
    with pytest.raises(exceptions.BadRequest, match="cancellable"):
        builds.cancel_build(request={"name": name})


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ({"steps": [bash("echo $_MISSPELT")]}, '"_MISSPELT" is not a valid substitution'),
        ({"steps": [bash("true")], "substitutions": {"_UNUSED": "x"}}, "not matched"),
        ({"steps": [bash("true")], "substitutions": {"lower": "x"}}, "user-defined"),
        ({"steps": []}, "at least one build step"),
        (
            {"steps": [bash("true")], "service_account": "projects/p/serviceAccounts/a@b"},
            "CLOUD_LOGGING_ONLY",
        ),
        (
            {
                "steps": [bash("true")],
                "source": {"storage_source": {"bucket": "none", "object_": "x"}},
            },
            "The specified bucket does not exist",
        ),
    ],
)
def test_a_wrong_build_is_refused(
    builds: CloudBuildClient, parent: str, build: dict[str, Any], said: str
) -> None:
    with pytest.raises(exceptions.BadRequest, match=said):
        create_build(builds, parent=parent, build=build)


def test_the_account_of_a_build_needs_its_grants(
    emulator: Emulator, builds: CloudBuildClient, project: str, parent: str
) -> None:
    registry = create_repository(emulator, project)
    account = create_account(emulator, project, "tiny-build")
    tag = f"{registry}/tiny:x"
    wanted = {
        "source": upload(emulator, project, archive(FILES)),
        "steps": [docker_build(tag)],
        "images": [tag],
        "options": {"logging": "CLOUD_LOGGING_ONLY"},
        "service_account": f"projects/{project}/serviceAccounts/{account}",
    }
    with pytest.raises(exceptions.BadRequest, match=r"storage\.objects\.get access"):
        create_build(builds, parent=parent, build=wanted)
    member = f"serviceAccount:{account}"
    grant(emulator, project, "roles/storage.objectViewer", member)
    build = ended(builds, parent, **wanted)
    assert build.status == STATUS.FAILURE
    assert "artifactregistry.repositories.uploadArtifacts" in build.failure_info.detail
    assert "Logs Writer" in build.warnings[0].text
    grant(emulator, project, "roles/artifactregistry.writer", member)
    grant(emulator, project, "roles/logging.logWriter", member)
    build = ended(builds, parent, **wanted)
    assert build.status == STATUS.SUCCESS
    assert not build.warnings


def test_an_image_that_no_step_made_fails_the_build(builds: CloudBuildClient, parent: str) -> None:
    build = ended(builds, parent, steps=[bash("true")], images=["never-built"])
    kind = Build.FailureInfo.FailureType.PUSH_IMAGE_NOT_FOUND
    assert build.failure_info.type_ == kind


def test_regional_and_global_builds_are_apart(
    builds: CloudBuildClient, project: str, parent: str
) -> None:
    regional = ended(builds, parent, steps=[bash("true")])
    everywhere = result(
        builds.create_build(request={"project_id": project, "build": {"steps": [bash("true")]}})
    )
    assert [one.id for one in builds.list_builds(request={"parent": parent})] == [regional.id]
    found = builds.list_builds(project_id=project)
    assert [one.id for one in found] == [everywhere.id]
    assert builds.get_build(project_id=project, id=everywhere.id).name == everywhere.name


def test_a_build_ends_with_the_emulator(own_emulator: Emulator, bare_project: str) -> None:
    own_emulator.start().enable_all(bare_project)
    builds = CloudBuildClient(**own_emulator.arguments("cloudbuild"))
    parent = f"projects/{bare_project}/locations/{REGION}"
    steps = [bash("exec sleep 600")]
    operation = create_build(builds, parent=parent, build={"steps": steps})
    name = f"{parent}/builds/{operation.metadata.build.id}"
    eventually(lambda: builds.get_build(request={"name": name}).status == STATUS.WORKING)
    own_emulator.kill()
    own_emulator.start()
    builds = cloudbuild_v1.CloudBuildClient(**own_emulator.arguments("cloudbuild"))
    build = builds.get_build(request={"name": name})
    assert build.status == STATUS.INTERNAL_ERROR
    assert "stopped" in build.status_detail
