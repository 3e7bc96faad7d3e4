"""Cloud Build: the connection to GitHub, its repository, and the trigger that builds pushes."""

from dataclasses import dataclass
from typing import ClassVar, override

from google.cloud.devtools import cloudbuild_v1, cloudbuild_v2
from google.protobuf import field_mask_pb2  # type: ignore[import-untyped,unused-ignore]

from infra.causes import Cause
from infra.environment import Trigger as Declared
from infra.resources.base import (
    Difference,
    Fields,
    Live,
    Resource,
    Work,
    labels_declared,
    labels_live,
    mark_text,
    read_mark,
)
from infra.retry import CloudError

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
    shared: ClassVar[bool] = True

    @property
    @override
    def name(self) -> str:
        return self.names.connection.rpartition("/")[2]

    @override
    def declared(self, live: Live | None) -> Fields:
        return {}

    @override
    def read(self, work: Work) -> Live | None:
        found = self.find(work)
        return None if found is None else observe_connection(found)

    def find(self, work: Work) -> cloudbuild_v2.Connection | None:
        """The connection itself."""
        name = self.names.connection
        return work.read(
            "the connection", lambda: work.cloud.repositories_v2.get_connection(name=name)
        )

    @override
    def create(self, work: Work) -> str | None:
        connection = cloudbuild_v2.Connection(
            github_config=cloudbuild_v2.GitHubConfig(), annotations=self.names.labels
        )
        request = cloudbuild_v2.CreateConnectionRequest(
            parent=self.names.location, connection_id=self.name, connection=connection
        )
        try:
            creating = work.call(
                "create", lambda: work.cloud.repositories_v2.create_connection(request)
            )
            work.wait("creating", creating)
        except CloudError as error:
            if error.cause is not Cause.DENIED:
                raise
            raise CloudError(error.doing, error.said, AGENT, error.cause) from error
        found = self.find(work)
        return observe_connection(found).waiting if found else None

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        raise NotImplementedError

    @override
    def delete(self, work: Work) -> None:
        raise NotImplementedError


AGENT = (
    "Cloud Build keeps GitHub's token in a secret: its own agent, "
    "service-PROJECT_NUMBER@gcp-sa-cloudbuild.iam.gserviceaccount.com, needs "
    "roles/secretmanager.admin on the project for it."
)


def observe_connection(found: cloudbuild_v2.Connection) -> Live:
    """A connection, and the link that has to be followed before it can be used."""
    state = found.installation_state
    stage = state.stage.name
    if stage == COMPLETE:
        return Live({})
    link = state.action_uri
    waiting = f"{state.message or stage}: open {link}" if link else state.message or stage
    return Live({}, waiting=f"{waiting}\nand run this command again")


@dataclass(frozen=True)
class ConnectedRepository(Resource):
    """The repository, as the connection knows it."""

    kind: ClassVar[str] = "repository"
    tags: ClassVar[tuple[str, ...]] = ("build",)
    shared: ClassVar[bool] = True
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
    def read(self, work: Work) -> Live | None:
        name = self.names.connected_repository
        found = work.read(
            "the repository", lambda: work.cloud.repositories_v2.get_repository(name=name)
        )
        return None if found is None else Live({"remoteUri": found.remote_uri})

    @override
    def create(self, work: Work) -> None:
        repository = cloudbuild_v2.Repository(
            remote_uri=f"https://github.com/{self.declaration.repository}.git",
            annotations=self.names.labels,
        )
        request = cloudbuild_v2.CreateRepositoryRequest(
            parent=self.names.connection,
            repository_id=self.names.connected_repository.rpartition("/")[2],
            repository=repository,
        )
        creating = work.call(
            "create", lambda: work.cloud.repositories_v2.create_repository(request)
        )
        work.wait("creating", creating)

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        raise NotImplementedError

    @override
    def delete(self, work: Work) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Trigger(Resource):
    """The trigger. Its id is Google's and its name ours; its description is its mark."""

    kind: ClassVar[str] = "trigger"
    tags: ClassVar[tuple[str, ...]] = ("build",)

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
    def read(self, work: Work) -> Live | None:
        found = self.find(work)
        return None if found is None else observe(found)

    def find(self, work: Work) -> cloudbuild_v1.BuildTrigger | None:
        """The trigger of our name."""
        # With project_id set too, the client would ask for the global ones.
        request = cloudbuild_v1.ListBuildTriggersRequest(parent=self.names.location)
        found = work.read(
            "the triggers", lambda: list(work.cloud.builds.list_build_triggers(request))
        )
        return next((each for each in found or [] if each.name == self.name), None)

    @override
    def create(self, work: Work) -> None:
        request = cloudbuild_v1.CreateBuildTriggerRequest(
            parent=self.names.location, trigger=self.shaped()
        )
        work.call("create", lambda: work.cloud.builds.create_build_trigger(request))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        found = self.find(work)
        if found is None:
            return
        shaped = self.shaped()
        shaped.id = found.id
        shaped.resource_name = f"{self.names.location}/triggers/{found.id}"
        shaped.substitutions = {**found.substitutions, **self.substitutions()}
        request = cloudbuild_v1.UpdateBuildTriggerRequest(
            trigger=shaped, update_mask=field_mask_pb2.FieldMask(paths=MASK)
        )
        work.call("update", lambda: work.cloud.builds.update_build_trigger(request))

    def shaped(self) -> cloudbuild_v1.BuildTrigger:
        """The trigger as we declare it."""
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
        found = self.find(work)
        if found is None:
            return
        request = cloudbuild_v1.DeleteBuildTriggerRequest(
            name=f"{self.names.location}/triggers/{found.id}"
        )
        work.call("delete", lambda: work.cloud.builds.delete_build_trigger(request))


def observe(found: cloudbuild_v1.BuildTrigger) -> Live:
    """A trigger's fields."""
    event = found.repository_event_config
    labels = read_mark(found.description)
    return Live(
        {
            "disabled": found.disabled,
            "serviceAccount": found.service_account,
            "filename": found.filename,
            "repository": event.repository,
            "branch": event.push.branch,
            "tag": event.push.tag,
            **{f"substitutions.{key}": value for key, value in found.substitutions.items()},
            **labels_live(labels),
        },
        labels=labels,
    )
