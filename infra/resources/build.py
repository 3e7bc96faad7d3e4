"""Cloud Build: the connection to GitHub, its repository, and the triggers on what happens there."""

# ruff: noqa: PLC0415

from collections.abc import Mapping
from dataclasses import dataclass, field
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
CHECKS_FILE = "ci/cloud-build-checks.yaml"
ENVIRONMENT = "_ENVIRONMENT"
CHECKED = "_CHECKED"
"""The substitutions that say which environment a build releases to, and checks."""
COMPLETE = "COMPLETE"
COMMENTS = "COMMENTS_ENABLED_FOR_EXTERNAL_CONTRIBUTORS_ONLY"
ANY = ".*"
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
        ours = {self.names.trigger, self.names.checks_trigger}
        others = sorted(each for each in users if each not in ours)
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
    """A trigger. Its id is Google's and its name ours; its description is its mark.

    One builds what is pushed. The other runs `checks` of a pull request, which is code that nobody
    has looked at: as an account that can change nothing, and for a stranger's only once somebody
    who may push has commented `/gcbrun`."""

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
    checks: bool = field(default=False, kw_only=True)

    @property
    @override
    def name(self) -> str:
        return self.names.checks_trigger if self.checks else self.names.trigger

    @property
    def account(self) -> str:
        """Whom its builds run as, in full."""
        email = self.names.account("checks") if self.checks else self.names.build_account
        return f"projects/{self.names.project}/serviceAccounts/{email}"

    @property
    def filename(self) -> str:
        """The build that it starts."""
        return CHECKS_FILE if self.checks else BUILD_FILE

    @override
    def declared(self, live: Live | None) -> Fields:
        event: Fields = {"branch": self.declaration.branch or "", "tag": self.declaration.tag or ""}
        if self.checks:
            event = {"pullRequest": self.declaration.branch or ANY, "commentControl": COMMENTS}
        given = self.substitutions()
        # What is released to no longer is taken away: it is all that makes a build release.
        gone = live is not None and f"substitutions.{ENVIRONMENT}" in live.fields
        taken: Fields = (
            {f"substitutions.{ENVIRONMENT}": None} if gone and ENVIRONMENT not in given else {}
        )
        return {
            "disabled": False,
            "serviceAccount": self.account,
            "filename": self.filename,
            "repository": self.names.connected_repository,
            **event,
            **{f"substitutions.{key}": value for key, value in given.items()},
            **taken,
            **labels_declared(self.names),
        }

    def substitutions(self) -> dict[str, str]:
        """What the build file is given, as by invoke deploy; and what only a trigger says."""
        environment = self.names.environment.name
        if self.checks:
            return {CHECKED: environment}
        return {
            "_REGION": self.names.region,
            "_REPOSITORY": self.names.name,
            "_SERVICE": self.names.name,
            "_TAG": "$COMMIT_SHA",
            **({ENVIRONMENT: environment} if self.declaration.deploy else {}),
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
        pull = fields(trigger, "repositoryEventConfig", "pullRequest")
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
                "pullRequest": text(pull, "branch"),
                "commentControl": text(pull, "commentControl"),
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
        others = {
            key: value for key, value in texts(found, "substitutions").items() if key != ENVIRONMENT
        }
        shaped.substitutions = {**others, **self.substitutions()}
        request = cloudbuild_v1.UpdateBuildTriggerRequest(
            trigger=shaped, update_mask=field_mask_pb2.FieldMask(paths=MASK)
        )
        work.call("update", lambda: work.cloud.builds.update_build_trigger(request))

    def shaped(self) -> "cloudbuild_v1.BuildTrigger":
        """The trigger as we declare it."""
        from google.cloud.devtools import cloudbuild_v1

        event = cloudbuild_v1.RepositoryEventConfig(repository=self.names.connected_repository)
        if self.checks:
            event.pull_request = cloudbuild_v1.PullRequestFilter(
                branch=self.declaration.branch or ANY,
                comment_control=getattr(cloudbuild_v1.PullRequestFilter.CommentControl, COMMENTS),
            )
        elif self.declaration.branch:
            event.push = cloudbuild_v1.PushFilter(branch=self.declaration.branch)
        else:
            event.push = cloudbuild_v1.PushFilter(tag=self.declaration.tag or "")
        does = "Checks pull requests." if self.checks else "Builds the image."
        return cloudbuild_v1.BuildTrigger(
            name=self.name,
            description=f"{does} {mark_text(self.names)}",
            service_account=self.account,
            filename=self.filename,
            substitutions=self.substitutions(),
            repository_event_config=event,
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
