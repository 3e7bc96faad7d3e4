"""Cloud Build's triggers, connections and repositories through its own clients."""

import pytest
from google.api_core import exceptions
from google.cloud.devtools import cloudbuild_v1, cloudbuild_v2

from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator, finish

REGION = "europe-west1"


@pytest.fixture
def builds(emulator: Emulator) -> cloudbuild_v1.CloudBuildClient:
    return cloudbuild_v1.CloudBuildClient(**emulator.arguments("cloudbuild"))


@pytest.fixture
def manager(emulator: Emulator) -> cloudbuild_v2.RepositoryManagerClient:
    return cloudbuild_v2.RepositoryManagerClient(**emulator.arguments("cloudbuild"))


def connect(
    manager: cloudbuild_v2.RepositoryManagerClient, project: str, **annotations: str
) -> cloudbuild_v2.Connection:
    operation = manager.create_connection(
        request={
            "parent": f"projects/{project}/locations/{REGION}",
            "connection_id": "github",
            "connection": {"github_config": {}, "annotations": annotations},
        }
    )
    made: cloudbuild_v2.Connection = finish(operation)
    return made


def add_repository(
    manager: cloudbuild_v2.RepositoryManagerClient, connection: str, name: str = "acme-orders"
) -> cloudbuild_v2.Repository:
    operation = manager.create_repository(
        request={
            "parent": connection,
            "repository_id": name,
            "repository": {"remote_uri": "https://github.com/acme/orders.git"},
        }
    )
    made: cloudbuild_v2.Repository = finish(operation)
    return made


def trigger_on(repository: str, **fields: object) -> cloudbuild_v1.BuildTrigger:
    return cloudbuild_v1.BuildTrigger(
        name="orders",
        filename="ci/cloud-build.yaml",
        repository_event_config={"repository": repository, "push": {"branch": "^main$"}},
        **fields,
    )


def test_the_life_of_a_connection(
    manager: cloudbuild_v2.RepositoryManagerClient, project: str
) -> None:
    made = connect(manager, project)
    assert made.installation_state.stage == cloudbuild_v2.InstallationState.Stage.COMPLETE
    assert manager.get_connection(name=made.name) == made
    assert list(manager.list_connections(parent=f"projects/{project}/locations/{REGION}")) == [made]
    with pytest.raises(exceptions.Conflict, match="already exists"):
        connect(manager, project)
    changed = finish(
        manager.update_connection(
            request={
                "connection": {"name": made.name, "disabled": True},
                "update_mask": {"paths": ["disabled"]},
            }
        )
    )
    assert changed.disabled
    with pytest.raises(exceptions.Conflict, match="etag"):
        manager.delete_connection(request={"name": made.name, "etag": made.etag})
    finish(manager.delete_connection(name=made.name))
    with pytest.raises(exceptions.NotFound):
        manager.get_connection(name=made.name)


def test_a_connection_may_wait_for_a_person(
    manager: cloudbuild_v2.RepositoryManagerClient, project: str
) -> None:
    made = connect(manager, project, **{"emulator/installation-state": "PENDING_USER_OAUTH"})
    state = made.installation_state
    assert state.stage == cloudbuild_v2.InstallationState.Stage.PENDING_USER_OAUTH
    assert state.action_uri.startswith("https://")
    with pytest.raises(exceptions.BadRequest, match="not complete"):
        add_repository(manager, made.name)
    finish(
        manager.update_connection(
            request={
                "connection": {"name": made.name},
                "update_mask": {"paths": ["annotations"]},
            }
        )
    )
    assert add_repository(manager, made.name).name == f"{made.name}/repositories/acme-orders"


def test_the_life_of_a_repository(
    manager: cloudbuild_v2.RepositoryManagerClient, project: str
) -> None:
    connection = connect(manager, project).name
    names = [add_repository(manager, connection, f"acme-{i}").name for i in range(3)]
    request = {"parent": connection, "page_size": 2}
    assert [one.name for one in manager.list_repositories(request)] == names
    with pytest.raises(exceptions.Conflict):
        add_repository(manager, connection, "acme-1")
    finish(manager.delete_repository(name=names[0]))
    with pytest.raises(exceptions.NotFound):
        manager.get_repository(name=names[0])
    finish(manager.delete_connection(name=connection))
    connect(manager, project)
    assert not list(manager.list_repositories(parent=connection))


def test_the_life_of_a_trigger(
    emulator: Emulator,
    builds: cloudbuild_v1.CloudBuildClient,
    manager: cloudbuild_v2.RepositoryManagerClient,
    project: str,
) -> None:
    repository = add_repository(manager, connect(manager, project).name).name
    email = create_account(emulator, project, "orders-build")
    account = f"projects/{project}/serviceAccounts/{email}"
    parent = f"projects/{project}/locations/{REGION}"
    wanted = trigger_on(repository, service_account=account, substitutions={"_REGION": REGION})
    made = builds.create_build_trigger(request={"parent": parent, "trigger": wanted})
    assert made.id
    assert made.resource_name.endswith(f"/locations/{REGION}/triggers/{made.id}")
    assert made.repository_event_config.repository == repository
    for key in (made.id, "orders"):
        request = {"name": f"{parent}/triggers/{key}"}
        assert builds.get_build_trigger(request=request) == made
    assert list(builds.list_build_triggers(request={"parent": parent})) == [made]
    assert not list(builds.list_build_triggers(request={"project_id": project}))
    with pytest.raises(exceptions.Conflict, match="already exists"):
        builds.create_build_trigger(request={"parent": parent, "trigger": wanted})
    made.disabled = True
    changes = {"trigger": made, "update_mask": {"paths": ["disabled"]}}
    changed = builds.update_build_trigger(request=changes)
    assert changed.disabled
    assert changed.id == made.id
    builds.delete_build_trigger(request={"name": f"{parent}/triggers/{made.id}"})
    with pytest.raises(exceptions.NotFound):
        builds.get_build_trigger(request={"name": f"{parent}/triggers/{made.id}"})


def test_a_global_trigger_is_not_regional(
    builds: cloudbuild_v1.CloudBuildClient, project: str
) -> None:
    trigger = {
        "name": "hook",
        "filename": "ci/cloud-build.yaml",
        "github": {"owner": "acme", "name": "orders", "push": {"branch": "main"}},
    }
    made = builds.create_build_trigger(
        request={
            "project_id": project,
            "trigger": trigger,
        }
    )
    assert "/locations/global/" in made.resource_name
    assert builds.get_build_trigger(project_id=project, trigger_id=made.id) == made
    parent = f"projects/{project}/locations/{REGION}"
    assert not list(builds.list_build_triggers(request={"parent": parent}))
    changed = builds.update_build_trigger(
        request={
            "project_id": project,
            "trigger_id": made.id,
            "trigger": {**trigger, "description": "x"},
        }
    )
    assert changed.description == "x"
    builds.delete_build_trigger(project_id=project, trigger_id=made.id)
    assert not list(builds.list_build_triggers(project_id=project))


def test_a_wrong_trigger_is_refused(builds: cloudbuild_v1.CloudBuildClient, project: str) -> None:
    parent = f"projects/{project}/locations/{REGION}"
    repository = f"{parent}/connections/none/repositories/none"
    with pytest.raises(exceptions.NotFound):
        trigger = trigger_on(repository)
        builds.create_build_trigger(request={"parent": parent, "trigger": trigger})
    with pytest.raises(exceptions.BadRequest, match="regional"):
        builds.create_build_trigger(
            request={
                "project_id": project,
                "trigger": trigger_on(repository),
            }
        )
    with pytest.raises(exceptions.BadRequest, match="build"):
        builds.create_build_trigger(
            request={
                "project_id": project,
                "trigger": {"name": "x"},
            }
        )


def test_callers_need_a_role_and_the_api(
    emulator: Emulator, project: str, bare_project: str
) -> None:
    email = create_account(emulator, project, "nobody-here")
    nobody = cloudbuild_v2.RepositoryManagerClient(**emulator.arguments("cloudbuild", email))
    parent = f"projects/{project}/locations/{REGION}"
    with pytest.raises(exceptions.Forbidden, match=r"cloudbuild\.connections\.list"):
        nobody.list_connections(parent=parent)
    builds = cloudbuild_v1.CloudBuildClient(**emulator.arguments("cloudbuild", email))
    with pytest.raises(exceptions.Forbidden, match=r"cloudbuild\.builds\.list"):
        builds.list_build_triggers(request={"parent": parent})
    owner = cloudbuild_v1.CloudBuildClient(**emulator.arguments("cloudbuild"))
    with pytest.raises(exceptions.Forbidden, match="SERVICE_DISABLED"):
        owner.list_build_triggers(project_id="a-disabled-project")
