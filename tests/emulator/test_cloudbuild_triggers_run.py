"""Triggers that run: by a call, and by pushes to repositories that are folders of this machine."""

from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.devtools import cloudbuild_v1, cloudbuild_v2
from google.cloud.devtools.cloudbuild_v1 import Build

from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator, finish
from tests.emulator.repositories import Worked
from tests.emulator.services import grant
from tests.emulator.test_cloudbuild_config import REGION, connect

FILE = "ci/cloud-build.yaml"
SAYS = """\
serviceAccount: projects/any/serviceAccounts/any@any.iam.gserviceaccount.com
steps:
  - name: bash
    env:
      - SAID=${_GREETING} $COMMIT_SHA $SHORT_SHA $BRANCH_NAME$TAG_NAME $REPO_FULL_NAME $TRIGGER_NAME
      - ASKED=$_PR_NUMBER $_BASE_BRANCH
    script: |
      echo "said $SAID asked $ASKED"
      echo "has $(cat content) by $(git log -1 --format=%an)"
      echo "at $CLOUD_EMULATOR_HOST as $GCE_METADATA_HOST"
substitutions:
  _GREETING: from the file
  _UNUSED: nobody minds in a build of a trigger
options:
  logging: CLOUD_LOGGING_ONLY
"""


class Triggers:
    """A project with a connected repository, which a folder stands for."""

    def __init__(self, emulator: Emulator, project: str, folder: Path) -> None:
        self.emulator = emulator
        self.project = project
        self.parent = f"projects/{project}/locations/{REGION}"
        self.builds = cloudbuild_v1.CloudBuildClient(**emulator.arguments("cloudbuild"))
        manager = cloudbuild_v2.RepositoryManagerClient(**emulator.arguments("cloudbuild"))
        made = manager.create_repository(
            request={
                "parent": connect(manager, project).name,
                "repository_id": "acme",
                "repository": {"remote_uri": f"https://github.com/acme/{project}.git"},
            }
        )
        self.repository = finish(made).name
        self.name = f"acme/{project}"
        email = create_account(emulator, project, "builder")
        grant(emulator, project, "roles/logging.logWriter", f"serviceAccount:{email}")
        self.account = f"projects/{project}/serviceAccounts/{email}"
        self.worked = Worked.begin(folder)
        (folder / "ci").mkdir()
        (folder / FILE).write_text(SAYS)
        self.first = self.worked.commit("first", content="one")

    def create(self, name: str, **event: Any) -> cloudbuild_v1.BuildTrigger:
        """A trigger on an event of the repository."""
        return self.builds.create_build_trigger(
            request={
                "parent": self.parent,
                "trigger": {
                    "name": name,
                    "filename": FILE,
                    "service_account": self.account,
                    "substitutions": {"_GREETING": "$REF_NAME by trigger"},
                    "repository_event_config": {"repository": self.repository, **event},
                },
            }
        )

    def push(self, **told: Any) -> list[str]:
        """Pushes; the triggers that start, by name, when their builds are over and well."""
        answer = self.worked.push(self.emulator.host, self.name, **told)
        assert answer.status_code == 200, answer.text
        for each in answer.json()["builds"]:
            assert self.ended(each["name"]).status == Build.Status.SUCCESS
        return [each["trigger"] for each in answer.json()["builds"]]

    def ended(self, name: str) -> Build:
        """A build when it is over, whichever way."""
        operation = name.replace("/builds/", "/operations/")
        self.emulator.http().post(f"/cloudbuild/v1/{operation}:wait", json={"timeout": "60s"})
        return self.builds.get_build(request={"name": name})

    def log(self) -> str:
        """All that was ever logged."""
        asked = {"resourceNames": [f"projects/{self.project}"], "orderBy": "timestamp asc"}
        answer = self.emulator.http().post("/logging/v2/entries:list", json=asked)
        return "\n".join(entry["textPayload"] for entry in answer.json()["entries"])


@pytest.fixture
def triggers(emulator: Emulator, project: str, tmp_path: Path) -> Triggers:
    return Triggers(emulator, project, tmp_path / "repository")


def test_a_push_starts_the_triggers_it_fits_with_what_google_says_of_it(triggers: Triggers) -> None:
    triggers.create("mains", push={"branch": "^main$"})
    triggers.create("others", push={"branch": "^main$", "invert_regex": True})
    triggers.create("tags", push={"tag": "^v"})
    triggers.create("pulls", pull_request={"branch": "^main$"})
    # What is not committed is not pushed.
    (triggers.worked.folder / "content").write_text("two")
    assert triggers.push() == ["mains"]
    short = triggers.first[:7]
    said = f"said main by trigger {triggers.first} {short} main {triggers.name} mains asked"
    log = triggers.log()
    assert said in log
    assert "has one by Ann" in log
    assert f"at {triggers.emulator.host} as 127.0.0.1:" in log

    triggers.worked.git("switch", "--quiet", "--create", "next")
    second = triggers.worked.commit("second")
    assert triggers.push(branch="next") == ["others"]
    assert "has two by Ann" in triggers.log()
    triggers.worked.git("tag", "v1")
    assert triggers.push(tag="v1") == ["tags"]
    assert triggers.push(branch="next", pull_request=7, base="main") == ["pulls"]
    log = triggers.log()
    assert f"said v1 by trigger {second} {second[:7]} v1 {triggers.name} tags asked" in log
    assert "pulls asked 7 main" in log
    # An earlier commit of the branch may be what is pushed.
    assert triggers.push(commit=triggers.first) == ["mains"]


def test_a_trigger_is_run_by_a_call_once_a_folder_is_known(triggers: Triggers) -> None:
    made = triggers.create("called", push={"branch": "^main$"})
    request = {"name": f"{triggers.parent}/triggers/{made.id}", "source": {"branch_name": "main"}}
    with pytest.raises(exceptions.BadRequest, match=r"no folder stands for .*emulator\.push"):
        triggers.builds.run_build_trigger(request=request)
    triggers.push()
    build = finish(triggers.builds.run_build_trigger(request=request))
    assert build.status == Build.Status.SUCCESS
    assert build.build_trigger_id == made.id
    assert build.source.connected_repository.revision == triggers.first
    assert build.service_account == triggers.account
    with pytest.raises(exceptions.BadRequest, match="a commit has to be given"):
        triggers.builds.run_build_trigger(request={"name": request["name"]})
    with pytest.raises(exceptions.BadRequest, match="Couldn't read commit"):
        triggers.builds.run_build_trigger(
            request={"name": request["name"], "source": {"branch_name": "nowhere"}}
        )


def test_running_one_takes_a_role_and_not_its_account(
    emulator: Emulator, triggers: Triggers, project: str
) -> None:
    made = triggers.create("called", push={"branch": "^main$"})
    triggers.push()
    request = {"name": f"{triggers.parent}/triggers/{made.id}", "source": {"branch_name": "main"}}
    email = create_account(emulator, project, "runner")
    runner = cloudbuild_v1.CloudBuildClient(**emulator.arguments("cloudbuild", email))
    with pytest.raises(exceptions.Forbidden, match=r"cloudbuild\.builds\.create"):
        runner.run_build_trigger(request=request)
    grant(emulator, project, "roles/cloudbuild.builds.editor", f"serviceAccount:{email}")
    assert finish(runner.run_build_trigger(request=request)).status == Build.Status.SUCCESS


@pytest.mark.parametrize(
    ("told", "status", "said"),
    [
        ({"branch": "nowhere"}, 400, "Couldn't read commit"),
        ({"repository": "acme/unknown"}, 404, "No connection has the repository"),
        ({"branch": "main", "tag": "v1"}, 400, "Either a branch or a tag"),
        ({"pull_request": 3}, 400, "a base"),
        ({"path": "/nowhere"}, 400, "Couldn't read commit"),
        ({"path": ""}, 400, "path is missing"),
        ({"brunch": "main"}, 400, "Unknown field brunch"),
        ({"branch": "--upload-pack=touch", "commit": "--all"}, 400, "Couldn't read commit"),
    ],
)
def test_a_wrong_push_is_refused(
    triggers: Triggers, told: dict[str, Any], status: int, said: str
) -> None:
    answer = triggers.worked.push(
        triggers.emulator.host, told.pop("repository", triggers.name), **told
    )
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]


def test_a_file_that_is_no_build_is_said(triggers: Triggers) -> None:
    triggers.create("mains", push={"branch": "^main$"})
    (triggers.worked.folder / FILE).write_text("stepz: []\n")
    triggers.worked.commit("break it")
    answer = triggers.worked.push(triggers.emulator.host, triggers.name)
    assert answer.status_code == 400
    assert "failed unmarshalling build config ci/cloud-build.yaml" in answer.text
    (triggers.worked.folder / FILE).unlink()
    triggers.worked.commit("lose it")
    answer = triggers.worked.push(triggers.emulator.host, triggers.name)
    assert answer.status_code == 400
    assert "ci/cloud-build.yaml" in answer.text
