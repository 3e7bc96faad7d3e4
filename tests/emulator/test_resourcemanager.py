"""Resource Manager through its own client: projects and their policies."""

import pytest
from google.api_core import exceptions
from google.cloud import resourcemanager_v3
from google.iam.v1 import options_pb2, policy_pb2  # type: ignore[import-untyped]

from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator

VIEWER = "roles/logging.viewer"


@pytest.fixture
def projects(emulator: Emulator) -> resourcemanager_v3.ProjectsClient:
    return resourcemanager_v3.ProjectsClient(**emulator.arguments("cloudresourcemanager"))


def policy_of(projects: resourcemanager_v3.ProjectsClient, project: str) -> policy_pb2.Policy:
    options = options_pb2.GetPolicyOptions(requested_policy_version=3)
    request = {"resource": f"projects/{project}", "options": options}
    return projects.get_iam_policy(request=request)


def test_a_project_is_found_by_id_and_number(
    projects: resourcemanager_v3.ProjectsClient, bare_project: str
) -> None:
    found = projects.get_project(name=f"projects/{bare_project}")
    assert found.project_id == bare_project
    assert found.state == resourcemanager_v3.Project.State.ACTIVE
    number = found.name.removeprefix("projects/")
    assert len(number) == 12
    assert number.isdigit()
    assert projects.get_project(name=found.name) == found
    found_again = list(projects.search_projects(query=f"projectId={bare_project}"))
    assert [one.name for one in found_again] == [found.name]
    with pytest.raises(exceptions.Forbidden):
        projects.get_project(name="projects/999999999999")


def test_a_policy_is_replaced_whole_and_its_etag_guards_it(
    projects: resourcemanager_v3.ProjectsClient, bare_project: str
) -> None:
    resource = f"projects/{bare_project}"
    first = policy_of(projects, bare_project)
    first.bindings.add(role=VIEWER, members=["user:ada@example.com"])
    second = projects.set_iam_policy(request={"resource": resource, "policy": first})
    assert second.etag != first.etag
    with pytest.raises(exceptions.Conflict) as race:
        projects.set_iam_policy(request={"resource": resource, "policy": first})
    assert "concurrent policy changes" in race.value.message
    again = policy_of(projects, bare_project)
    assert again == second
    del again.bindings[:]
    projects.set_iam_policy(request={"resource": resource, "policy": again})
    assert not policy_of(projects, bare_project).bindings


@pytest.mark.parametrize(
    ("role", "member", "message"),
    [
        (VIEWER, "ada@example.com", "Invalid member"),
        ("roles/no.such", "user:ada@example.com", "roles/no.such is not supported"),
        (VIEWER, "serviceAccount:nobody@{}.iam.gserviceaccount.com", "does not exist"),
    ],
)
def test_what_is_no_role_or_member_is_refused(
    projects: resourcemanager_v3.ProjectsClient,
    bare_project: str,
    role: str,
    member: str,
    message: str,
) -> None:
    policy = policy_of(projects, bare_project)
    policy.bindings.add(role=role, members=[member.format(bare_project)])
    with pytest.raises(exceptions.BadRequest, match=message):
        projects.set_iam_policy(request={"resource": f"projects/{bare_project}", "policy": policy})


def test_conditions_need_version_3_and_are_hidden_below(
    projects: resourcemanager_v3.ProjectsClient, bare_project: str
) -> None:
    resource = f"projects/{bare_project}"
    policy = policy_of(projects, bare_project)
    binding = policy.bindings.add(role=VIEWER, members=["user:ada@example.com"])
    binding.condition.title = "soon"
    binding.condition.expression = "request.time < timestamp('2030-01-01T00:00:00Z')"
    policy.version = 1
    with pytest.raises(exceptions.BadRequest, match="version must be 3"):
        projects.set_iam_policy(request={"resource": resource, "policy": policy})
    policy.version = 3
    kept = projects.set_iam_policy(request={"resource": resource, "policy": policy})
    assert kept.bindings[0].condition.title == "soon"
    plain = projects.get_iam_policy(request={"resource": resource})
    assert plain.bindings[0].role.startswith(f"{VIEWER}_withcond_")


def test_a_caller_has_the_permissions_of_its_roles(
    emulator: Emulator, projects: resourcemanager_v3.ProjectsClient, bare_project: str
) -> None:
    email = create_account(emulator, bare_project, "reader")
    policy = policy_of(projects, bare_project)
    policy.bindings.add(role="roles/browser", members=[f"serviceAccount:{email}"])
    resource = f"projects/{bare_project}"
    projects.set_iam_policy(request={"resource": resource, "policy": policy})
    arguments = emulator.arguments("cloudresourcemanager", email)
    reader = resourcemanager_v3.ProjectsClient(**arguments)
    permissions = ["resourcemanager.projects.get", "resourcemanager.projects.setIamPolicy"]
    held = reader.test_iam_permissions(resource=resource, permissions=permissions).permissions
    assert list(held) == permissions[:1]
    assert reader.get_project(name=resource).project_id == bare_project
    with pytest.raises(exceptions.Forbidden) as refusal:
        reader.set_iam_policy(request={"resource": resource, "policy": policy})
    assert "resourcemanager.projects.setIamPolicy" in refusal.value.message


def test_what_is_not_implemented_says_so(
    projects: resourcemanager_v3.ProjectsClient, bare_project: str
) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match=r"v3\.Projects\.DeleteProject"):
        projects.delete_project(name=f"projects/{bare_project}")
