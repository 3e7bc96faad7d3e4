"""ci/cloud-build.yaml read strictly: what Cloud Build does not know is said with its line."""

from pathlib import Path

import pytest
from google.cloud.devtools.cloudbuild_v1 import Build

from infra.environment import Environment
from infra.names import Names
from infra.project import ProjectError
from infra.release import ReleaseError, build, source
from infra.release.logs import Line
from infra.release.record import Record
from tests.template.bakes import Baked

GOOD = """\
steps:
  - name: docker
    args: [build, "--tag=${_REGION}/$PROJECT_ID/${_SERVICE}:${_TAG}", .]
images: ["${_REGION}/$PROJECT_ID/${_SERVICE}:${_TAG}"]
substitutions:
  _REGION: somewhere
  _OTHER: kept
timeout: 1200s
"""


def write(folder: Path, text: str) -> Path:
    """A service's folder with the build file."""
    (folder / "ci").mkdir()
    (folder / build.FILE).write_text(text)
    return folder


def environment(service: str = "orders") -> Environment:
    """An environment with nothing but what it must have."""
    return Environment.model_validate(
        {
            "name": "stg",
            "project": "my-project",
            "region": "europe-west1",
            "service": {"name": service},
        }
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stepz: []\n", "ci/cloud-build.yaml:1: stepz: there is no such field: did you mean steps"),
        (
            "steps:\n  - name: a\n  - name: b\n    entrypont: c\n",
            "ci/cloud-build.yaml:4: steps[1].entrypont: there is no such field: did you mean "
            "entrypoint?",
        ),
        ("steps:\n- name: a\ntimeout: 20m\n", "ci/cloud-build.yaml:3: timeout: "),
        ("steps:\n- name: 3\n", "ci/cloud-build.yaml:1: steps.name: expected string"),
        ("steps: {a: 1}\n", "ci/cloud-build.yaml:1: steps: repeated field steps must be in []"),
        (
            "options:\n  logging: CLOUD\n",
            "ci/cloud-build.yaml:2: options.logging: Invalid enum value CLOUD",
        ),
        ("steps: [\n", "ci/cloud-build.yaml:2: this is no YAML"),
        ("steps: []\n", "ci/cloud-build.yaml: a build needs steps"),
        ("", "ci/cloud-build.yaml"),
        ("- a\n", "ci/cloud-build.yaml"),
    ],
)
def test_a_wrong_file_is_one_message_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProjectError) as raised:
        build.read(write(tmp_path, text))
    assert str(raised.value).startswith(said)
    assert "Available Fields" not in str(raised.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"ci/cloud-build.yaml can't be read"):
        build.read(tmp_path)


def test_the_generated_file_is_read(service: Baked) -> None:
    assert [step.id for step in build.read(service.folder).steps] == [
        "dependencies",
        "image",
        "push",
        "release",
    ]


def test_a_build_of_ours_releases_nothing_and_tells_the_image_what_it_is_of(
    service: Baked,
) -> None:
    record = Record("c" * 40, "main", "A $money <a@b.c>", "true", "s" * 64, "1.2", "me")
    with source.package(service.folder) as packaged:
        made = build.prepare(
            build.read(service.folder), Names(environment()), packaged, "abc", record
        )
    assert [step.id for step in made.steps] == ["dependencies", "image", "push"]
    assert "_ENVIRONMENT" not in made.substitutions
    labels = {
        "_COMMIT": "c" * 40,
        "_BRANCH": "main",
        "_AUTHOR": "A money <a@b.c>",
        "_DIRTY": "true",
        "_SOURCE": "s" * 64,
        "_ENGINE": "1.2",
    }
    assert labels.items() <= dict(made.substitutions).items()
    # Each is used, or a build that has to match them all is refused.
    for name in made.substitutions:
        assert f"${{{name}}}" in f"{made.steps}", name


def test_a_build_gets_its_source_its_account_and_the_names_it_uses(tmp_path: Path) -> None:
    folder = write(tmp_path, GOOD)
    names = Names(environment())
    with source.package(folder) as packaged:
        made = build.prepare(build.read(folder), names, packaged, "abc", Record())
    assert made.source.storage_source.bucket == "my-project-orders-source"
    assert made.source.storage_source.object_ == packaged.object_name
    account = "projects/my-project/serviceAccounts/"
    assert made.service_account == f"{account}orders-build@my-project.iam.gserviceaccount.com"
    # _REPOSITORY is nowhere in the file: a build that must match all of them would fail.
    assert dict(made.substitutions) == {
        "_REGION": "europe-west1",
        "_SERVICE": "orders",
        "_TAG": "abc",
        "_OTHER": "kept",
    }
    assert made.project_id == ""


class TestImage:
    """Which of the pushed images is deployed."""

    def done(self, *pushed: str) -> Build:
        images = [
            {"name": name, "digest": f"sha256:{number}"} for number, name in enumerate(pushed)
        ]
        return Build(results={"images": images})

    def test_it_is_the_one_with_the_tag_by_digest(self) -> None:
        done = self.done("r/p/s:dependencies", "r/p/s:abc")
        assert build.image_of(done, "r/p/s:abc") == "r/p/s@sha256:1"

    def test_none_with_the_tag_is_said(self) -> None:
        with pytest.raises(ReleaseError, match=r"pushed no image r/p/s:abc.*r/p/s:other"):
            build.image_of(self.done("r/p/s:other"), "r/p/s:abc")


def test_a_failure_names_the_step_the_reason_and_the_log() -> None:
    failed = Build(
        status=Build.Status.FAILURE,
        steps=[
            {"id": "one", "name": "a", "status": Build.Status.SUCCESS},
            {"id": "two", "name": "b", "status": Build.Status.FAILURE, "exit_code": 3},
        ],
        log_url="https://console.example/build",
    )
    said = build.failure(failed, [Line("", "INFO", f"line {n}") for n in range(50)])
    assert "step 2, two, ended with exit code 3" in said
    assert "line 49" in said
    assert "line 29" not in said
    assert said.endswith("The whole log: https://console.example/build")
