"""Resource Manager v3, and of v1 what gcloud uses: projects and their policies."""

from typing import Any

from google.cloud import resourcemanager_v3 as rm
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]

from infra.emulator import errors, operations, pages, policies, projects
from infra.emulator.api import Api, Call
from infra.emulator.projects import Project
from infra.emulator.world import World

_PACKAGE = "google.cloud.resourcemanager_v3"

api = Api("cloudresourcemanager", prefix="/cloudresourcemanager", enabled=True)
api.client(_PACKAGE, "Projects", "Folders", "Organizations", "TagKeys", "TagValues")
operations.serve(api, "v3", "operations/**")
operations.serve(api, "v1", "operations/**")


def _check(world: World, resource: str) -> Project:
    # Resource Manager v1 names a project without the collection.
    return projects.find(world, resource.removeprefix("projects/"))


policies.serve(api, _PACKAGE, "Projects", "resourcemanager.projects", _check)


@api.method(_PACKAGE, "Projects", "GetProject", permission="resourcemanager.projects.get")
def get_project(call: Call[rm.GetProjectRequest]) -> rm.Project:
    """One project, by id or number."""
    return _project(_check(call.world, call.request.name))


@api.method(_PACKAGE, "Projects", "SearchProjects")
def search_projects(call: Call[rm.SearchProjectsRequest]) -> rm.SearchProjectsResponse:
    """The projects that have been used; by `id:ID` or `projectId=ID` one of them."""
    wanted = call.request.query.strip()
    key, _, value = wanted.replace("=", ":").partition(":")
    if wanted and (key not in ("id", "projectId") or not value or " " in value):
        raise errors.invalid(f"The emulator does not search by {wanted!r}.", "query")
    found = [_project(one) for one in _all(call.world) if not wanted or one.id == value]
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return rm.SearchProjectsResponse(projects=some, next_page_token=token)


@api.route("GET", "/v1/projects", name="google.cloud.resourcemanager.v1.Projects.ListProjects")
def list_projects(call: Call) -> dict[str, Any]:
    """The projects that have been used."""
    return {"projects": [_v1(project) for project in _all(call.world)]}


@api.route(
    "GET", "/v1/projects/{project}", name="google.cloud.resourcemanager.v1.Projects.GetProject"
)
def get_project_v1(call: Call) -> dict[str, Any]:
    """One project, by id or number."""
    project = projects.find(call.world, call.params["project"])
    call.require("resourcemanager.projects.get", project.name)
    return _v1(project)


@api.route(
    "POST",
    "/v1/projects/{resource}:getIamPolicy",
    name="google.cloud.resourcemanager.v1.Projects.GetIamPolicy",
    request=iam_policy_pb2.GetIamPolicyRequest,
    body="*",
)
def get_iam_policy_v1(call: Call[iam_policy_pb2.GetIamPolicyRequest]) -> policy_pb2.Policy:
    """The project's policy."""
    call.request.resource = _check(call.world, call.request.resource).name
    call.require("resourcemanager.projects.getIamPolicy", call.request.resource)
    return policies.get(call, _check)


@api.route(
    "POST",
    "/v1/projects/{resource}:setIamPolicy",
    name="google.cloud.resourcemanager.v1.Projects.SetIamPolicy",
    request=iam_policy_pb2.SetIamPolicyRequest,
    body="*",
)
def set_iam_policy_v1(call: Call[iam_policy_pb2.SetIamPolicyRequest]) -> policy_pb2.Policy:
    """Replaces the project's policy."""
    call.request.resource = _check(call.world, call.request.resource).name
    call.require("resourcemanager.projects.setIamPolicy", call.request.resource)
    return policies.put(call, _check)


def _all(world: World) -> list[Project]:
    return [Project(body["id"], body["number"], body["created"]) for body in world.list("projects")]


def _project(project: Project) -> rm.Project:
    return rm.Project(
        name=f"projects/{project.number}",
        project_id=project.id,
        display_name=project.id,
        state=rm.Project.State.ACTIVE,
        create_time=project.created,
        update_time=project.created,
        etag=f'W/"{project.number}"',
    )


def _v1(project: Project) -> dict[str, Any]:
    return {
        "projectNumber": project.number,
        "projectId": project.id,
        "lifecycleState": "ACTIVE",
        "name": project.id,
        "createTime": project.created,
    }
