"""Cloud Build: the connection to GitHub, its repository, and the trigger that builds pushes."""

# ruff: noqa: PLC0415

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, override

from infra.causes import Cause
from infra.environment import Trigger as Declared
from infra.names import Names
from infra.resources.asks import Ask, fields, flag, last, listed, text, texts
from infra.resources.base import (
    Difference,
    Fields,
    Found,
    Live,
    Resource,
    Work,
    labels_declared,
    labels_live,
    mark_text,
    owned,
    owner,
    read_mark,
)
from infra.rest import Request
from infra.retry import CloudError
from infra.yaml_file import Value

if TYPE_CHECKING:
    from google.cloud.devtools import cloudbuild_v1

BUILD_FILE = "ci/cloud-build.yaml"
COMPLETE = "COMPLETE"
MASK = (
    "description",
    "service_account",
    "filename",
    "substitutions",
    "repository_event_config",
    "disabled",
)


@dataclass(frozen=True)
class Connection(Resource):
    """The connection to GitHub. Services of a region share it; a person has to consent once."""

    kind: ClassVar[str] = "connection"
    tags: ClassVar[tuple[str, ...]] = ("build",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("cloudbuild.connections.get", "cloudbuild.connections.list"),
        "create": (
            "cloudbuild.connections.create",
            "cloudbuild.connections.get",
            "cloudbuild.operations.get",
        ),
        "update": (),
        "delete": (),
    }

    @property
    @override
    def name(self) -> str:
        return self.names.connection.rpartition("/")[2]

    @override
    def declared(self, live: Live | None) -> Fields:
        return {}

    @override
    def asks(self) -> Mapping[str, Ask]:
        path = f"v2/{self.names.location}/connections"
        connections = Request("cloudbuild", path, (), "connections")
        connection = Request("cloudbuild", f"v2/{self.names.connection}")
        match = ("name", self.names.connection)
        return {"connection": Ask("the connections", connections, connection, match)}

    @override
    def observe(self, found: Found) -> Live | None:
        connection = found.get("connection")
        if connection is None:
            return None
        return Live({}, kept=CONSENT, waiting=waits_for(connection))

    @override
    def create(self, work: Work) -> str | None:
        from google.cloud.devtools import cloudbuild_v2

        connection = cloudbuild_v2.Connection(
            github_config=cloudbuild_v2.GitHubConfig(), annotations=self.names.labels
        )
        request = cloudbuild_v2.CreateConnectionRequest(
            parent=self.names.location, connection_id=self.name, connection=connection
        )
        try:
            work.operate("create", lambda: work.cloud.repositories_v2.create_connection(request))
        except CloudError as error:
            if error.cause is not Cause.DENIED:
                raise
            raise CloudError(error.doing, error.said, AGENT, error.cause) from error
        return waits_for(work.ask(self.asks()["connection"])) or None


CONSENT = "a person consented to it, and others may use it"
AGENT = (
    "Cloud Build keeps GitHub's token in a secret: its own agent, "
    "service-PROJECT_NUMBER@gcp-sa-cloudbuild.iam.gserviceaccount.com, needs "
    "roles/secretmanager.admin on the project for it."
)


def waits_for(connection: Value) -> str:
    """The link that has to be followed before a connection can be used, "" when it can."""
    state = fields(connection, "installationState")
    stage = text(state, "stage")
    if connection is None or stage == COMPLETE:
        return ""
    message = text(state, "message") or stage
    link = text(state, "actionUri")
    waiting = f"{message}: open {link}" if link else message
    return f"{waiting}\nand run this command again"


@dataclass(frozen=True)
class ConnectedRepository(Resource):
    """The repository, as the connection knows it. Services whose triggers build from it share it:
    it goes with the one that connected it, when no other trigger is left."""

    kind: ClassVar[str] = "repository"
    tags: ClassVar[tuple[str, ...]] = ("build",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": (
            "cloudbuild.builds.list",
            "cloudbuild.repositories.get",
            "cloudbuild.repositories.list",
        ),
        "create": ("cloudbuild.operations.get", "cloudbuild.repositories.create"),
        "update": (),
        "delete": ("cloudbuild.operations.get", "cloudbuild.repositories.delete"),
    }
    fixed: ClassVar[dict[str, str]] = {
        "remoteUri": "a connected repository can't change: remove it from the connection"
    }

    declaration: Declared

    @property
    @override
    def name(self) -> str:
        return self.declaration.repository

    @override
    def declared(self, live: Live | None) -> Fields:
        return {"remoteUri": f"https://github.com/{self.declaration.repository}.git"}

    @override
    def asks(self) -> Mapping[str, Ask]:
        repositories = Request(
            "cloudbuild", f"v2/{self.names.connection}/repositories", (), "repositories"
        )
        repository = Request("cloudbuild", f"v2/{self.names.connected_repository}")
        match = ("name", self.names.connected_repository)
        return {
            "repository": Ask("the connected repositories", repositories, repository, match),
            "triggers": Ask("the triggers", ask_triggers(self.names)),
        }

    @override
    def observe(self, found: Found) -> Live | None:
        repository = found.get("repository")
        if repository is None:
            return None
        return Live({"remoteUri": text(repository, "remoteUri")}, kept=self.kept(found))

    def kept(self, found: Found) -> str:
        """Why it stays when the service goes, "" when it goes too."""
        marks = texts(found.get("repository"), "annotations")
        if not owned(marks, self.names):
            return owner(marks)
        users = [
            text(each, "name")
            for each in listed(found.get("triggers"))
            if last(built_from(each)) == last(self.names.connected_repository)
        ]
        others = sorted(each for each in users if each != self.names.trigger)
        return f"the trigger {' and '.join(others)} builds from it" if others else ""

    @override
    def create(self, work: Work) -> None:
        from google.cloud.devtools import cloudbuild_v2

        repository = cloudbuild_v2.Repository(
            remote_uri=f"https://github.com/{self.declaration.repository}.git",
            annotations=self.names.labels,
        )
        request = cloudbuild_v2.CreateRepositoryRequest(
            parent=self.names.connection,
            repository_id=self.names.connected_repository.rpartition("/")[2],
            repository=repository,
        )
        work.operate("create", lambda: work.cloud.repositories_v2.create_repository(request))

    @override
    def delete(self, work: Work) -> None:
        name = self.names.connected_repository
        work.operate("delete", lambda: work.cloud.repositories_v2.delete_repository(name=name))


@dataclass(frozen=True)
class Trigger(Resource):
    """The trigger. Its id is Google's and its name ours; its description is its mark."""

    kind: ClassVar[str] = "trigger"
    tags: ClassVar[tuple[str, ...]] = ("build",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("cloudbuild.builds.list",),
        "create": ("cloudbuild.builds.create", "iam.serviceAccounts.actAs"),
        "update": (
            "cloudbuild.builds.list",
            "cloudbuild.builds.update",
            "iam.serviceAccounts.actAs",
        ),
        "delete": ("cloudbuild.builds.list", "cloudbuild.builds.update"),
    }

    declaration: Declared

    @property
    @override
    def name(self) -> str:
        return self.names.trigger

    @override
    def declared(self, live: Live | None) -> Fields:
        return {
            "disabled": False,
            "serviceAccount": f"projects/{self.names.project}"
            f"/serviceAccounts/{self.names.build_account}",
            "filename": BUILD_FILE,
            "repository": self.names.connected_repository,
            "branch": self.declaration.branch or "",
            "tag": self.declaration.tag or "",
            **{f"substitutions.{key}": value for key, value in self.substitutions().items()},
            **labels_declared(self.names),
        }

    def substitutions(self) -> dict[str, str]:
        """What the build file is given, as by invoke deploy."""
        return {
            "_REGION": self.names.region,
            "_REPOSITORY": self.names.name,
            "_SERVICE": self.names.name,
            "_TAG": "$COMMIT_SHA",
        }

    @override
    def asks(self) -> Mapping[str, Ask]:
        # By itself it can only be got by its id, which the list tells.
        ask = Ask("the triggers", ask_triggers(self.names), match=("name", self.name))
        return {"trigger": ask}

    @override
    def observe(self, found: Found) -> Live | None:
        trigger = found.get("trigger")
        if trigger is None:
            return None
        push = fields(trigger, "repositoryEventConfig", "push")
        substitutions = texts(trigger, "substitutions")
        labels = read_mark(text(trigger, "description"))
        return Live(
            {
                "disabled": flag(trigger, "disabled"),
                "serviceAccount": text(trigger, "serviceAccount"),
                "filename": text(trigger, "filename"),
                "repository": built_from(trigger),
                "branch": text(push, "branch"),
                "tag": text(push, "tag"),
                **{f"substitutions.{key}": value for key, value in substitutions.items()},
                **labels_live(labels),
            },
            labels=labels,
        )

    @override
    def create(self, work: Work) -> None:
        from google.cloud.devtools import cloudbuild_v1

        request = cloudbuild_v1.CreateBuildTriggerRequest(
            parent=self.names.location, trigger=self.shaped()
        )
        work.call("create", lambda: work.cloud.builds.create_build_trigger(request))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        from google.cloud.devtools import cloudbuild_v1
        from google.protobuf import field_mask_pb2  # type: ignore[import-untyped,unused-ignore]

        found = work.ask(self.asks()["trigger"])
        if found is None:
            return
        shaped = self.shaped()
        shaped.id = text(found, "id")
        shaped.resource_name = f"{self.names.location}/triggers/{shaped.id}"
        shaped.substitutions = {**texts(found, "substitutions"), **self.substitutions()}
        request = cloudbuild_v1.UpdateBuildTriggerRequest(
            trigger=shaped, update_mask=field_mask_pb2.FieldMask(paths=MASK)
        )
        work.call("update", lambda: work.cloud.builds.update_build_trigger(request))

    def shaped(self) -> "cloudbuild_v1.BuildTrigger":
        """The trigger as we declare it."""
        from google.cloud.devtools import cloudbuild_v1

        push = cloudbuild_v1.PushFilter()
        if self.declaration.branch:
            push.branch = self.declaration.branch
        else:
            push.tag = self.declaration.tag or ""
        return cloudbuild_v1.BuildTrigger(
            name=self.name,
            description=f"Builds the image. {mark_text(self.names)}",
            service_account=f"projects/{self.names.project}"
            f"/serviceAccounts/{self.names.build_account}",
            filename=BUILD_FILE,
            substitutions=self.substitutions(),
            repository_event_config=cloudbuild_v1.RepositoryEventConfig(
                repository=self.names.connected_repository, push=push
            ),
        )

    @override
    def delete(self, work: Work) -> None:
        from google.cloud.devtools import cloudbuild_v1

        found = work.ask(self.asks()["trigger"])
        if found is None:
            return
        name = f"{self.names.location}/triggers/{text(found, 'id')}"
        request = cloudbuild_v1.DeleteBuildTriggerRequest(name=name)
        work.call("delete", lambda: work.cloud.builds.delete_build_trigger(request))


def ask_triggers(names: Names) -> Request:
    """What fetches the region's triggers."""
    return Request("cloudbuild", f"v1/{names.location}/triggers", (), "triggers")


def built_from(trigger: Value) -> str:
    """The connected repository that a trigger builds from, in full."""
    return text(trigger, "repositoryEventConfig", "repository")
