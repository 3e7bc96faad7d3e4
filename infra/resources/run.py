"""Cloud Run: the service, who may call it, and the job that migrates its database.

What is deployed is not ours: an image, a revision's name, the traffic and the versions of secrets
are each release's. Until the first release the service runs Google's placeholder, without the
variables and probes that are about our own image.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, override

from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]

from infra import manifest
from infra.causes import cause_of
from infra.cloud import Cloud
from infra.names import PLACEHOLDER_IMAGE
from infra.resources import shape
from infra.resources.base import Difference, Fields, Live, Resource, Work
from infra.resources.iam import Scope
from infra.resources.secrets import find_versions
from infra.retry import CloudError
from infra.yaml_file import Value

READY = "ready"
PINNED = "password version"
SECRET = "secret "  # noqa: S105
ATTEMPT = "cookiecutter-cloudrun/attempt"
UNRELATED = ("containers", "volumes")
"""What the template says about our own image."""
SHAPE = ("resources", "ports")
"""What a container's shape is, whatever its image."""


@dataclass(frozen=True)
class Shaped(Resource):
    """What the manifest describes."""

    folder: Path
    """The service's."""

    @property
    def secrets(self) -> list[str]:
        """The secrets that the manifest and the environment name."""
        return [self.names.password_secret, *self.names.environment.secrets.values()]

    def manifest(self, versions: Mapping[str, str]) -> manifest.Manifest:
        """The manifest, without the variables of secrets that have no value yet."""
        return manifest.read(
            self.folder,
            self.names.environment,
            image=PLACEHOLDER_IMAGE,
            versions=versions,
            partial=True,
        )

    @override
    def differences(self, live: Live) -> list[Difference]:
        return shape.differences(self.declared(live), dict(live.fields))

    @override
    def made(self) -> list[Difference]:
        return shape.differences(self.declared(None), {})

    def versions(self, work: Work) -> dict[str, str]:
        """The newest version of each secret that has one."""
        return find_versions(work, self.names.project, dict.fromkeys(self.secrets))


@dataclass(frozen=True)
class Service(Shaped):
    """The Cloud Run service."""

    kind: ClassVar[str] = "service"
    tags: ClassVar[tuple[str, ...]] = ("run",)

    @property
    @override
    def name(self) -> str:
        return self.names.name

    @override
    def declared(self, live: Live | None) -> Fields:
        versions = versions_of(live)
        fields = self.manifest(versions).fields
        del fields["name"]
        if live is None or live.state["image"] == PLACEHOLDER_IMAGE:
            return placeholder(fields)
        return without_image(fields, "template")

    @override
    def differences(self, live: Live) -> list[Difference]:
        found = super().differences(live)
        if live.state[READY]:
            found.append(Difference(READY, live.state[READY], True))
        return found

    @override
    def read(self, work: Work) -> Live | None:
        found = self.find(work)
        if found is None:
            return None
        return observe(found, self.versions(work))

    def find(self, work: Work) -> run_v2.Service | None:
        """The service itself."""
        name = self.names.service
        return work.read("the service", lambda: work.cloud.run_services.get_service(name=name))

    @override
    def create(self, work: Work) -> None:
        fields = self.declared(None)
        manifest.serving_container(fields["template"])["image"] = PLACEHOLDER_IMAGE
        request = run_v2.CreateServiceRequest(
            parent=self.names.location, service_id=self.name, service=manifest.to_service(fields)
        )
        creating = work.call("create", lambda: work.cloud.run_services.create_service(request))
        work.wait("creating", creating)
        self.wait_until_ready(work, "creating")

    @override
    def update(self, work: Work, differences: list[Difference]) -> str | None:
        found = self.find(work)
        if found is None:
            return None
        live = observe(found, self.versions(work))
        fields = manifest.as_fields(shape.lay_over(self.declared(live), dict(live.fields)))
        template = manifest.as_fields(fields["template"])
        # A revision of that name exists, with another configuration.
        template.pop("revision", None)
        if any(each.path == READY for each in differences):
            annotations = manifest.as_fields(template.setdefault("annotations", {}))
            annotations[ATTEMPT] = str(found.generation + 1)
        request = run_v2.UpdateServiceRequest(service=manifest.to_service(fields))
        updating = work.call("update", lambda: work.cloud.run_services.update_service(request))
        work.wait("updating", updating)
        self.wait_until_ready(work, "updating")
        return None

    def wait_until_ready(self, work: Work, doing: str) -> None:
        """Returns when the service is as it was asked to be. Raises CloudError."""
        last: list[run_v2.Service | None] = [None]

        def settled() -> bool:
            last[0] = found = self.find(work)
            return found is None or is_settled(found)

        work.retry.until(doing, settled)
        why = failure(last[0]) if last[0] else ""
        if why:
            cause = cause_of(why)
            raise CloudError(
                doing, why, f"Its logs: gcloud run services logs read {self.name}", cause
            )

    @override
    def delete(self, work: Work) -> None:
        name = self.names.service
        deleting = work.call("delete", lambda: work.cloud.run_services.delete_service(name=name))
        work.wait("deleting", deleting)


def observe(found: run_v2.Service, versions: Mapping[str, str]) -> Live:
    """A service's fields, and what is deployed."""
    fields: Fields = json.loads(run_v2.Service.to_json(found, **AS_DECLARED))
    why = failure(found) if is_settled(found) else ""
    state = {
        "image": serving(found.template).image,
        READY: why,
        "uri": found.uri,
        **{f"{SECRET}{name}": version for name, version in versions.items()},
    }
    pending = "" if is_settled(found) else "Cloud Run is still bringing out the last change"
    return Live(fields, labels=dict(found.labels), pending=pending, state=state)


AS_DECLARED = {"use_integers_for_enums": False, "always_print_fields_with_no_presence": False}


def serving(template: run_v2.RevisionTemplate) -> run_v2.Container:
    """The container that gets the requests."""
    containers = list(template.containers)
    return next((each for each in containers if each.ports), containers[0])


def versions_of(live: Live | None) -> dict[str, str]:
    """The versions of secrets that were read."""
    state = live.state if live else {}
    return {
        key.removeprefix(SECRET): version
        for key, version in state.items()
        if key.startswith(SECRET)
    }


def is_settled(found: run_v2.Service) -> bool:
    """Whether Cloud Run has seen the last change, and is done with it, well or not."""
    return not found.reconciling and found.observed_generation == found.generation


def failure(found: run_v2.Service) -> str:
    """Why a settled service is not ready, "" when it is."""
    condition = found.terminal_condition
    if condition.state == run_v2.Condition.State.CONDITION_FAILED:
        return condition.message or "Cloud Run does not say why"
    return ""


def placeholder(fields: Fields) -> Fields:
    """The shape, of a service that runs the placeholder."""
    template = manifest.as_fields(fields["template"])
    container = manifest.serving_container(template)
    kept = {key: value for key, value in template.items() if key not in UNRELATED}
    containers: list[Value] = [{key: container[key] for key in SHAPE if key in container}]
    return {**fields, "template": {**kept, "containers": containers}}


def without_image(fields: Fields, *path: str) -> Fields:
    """The shape, without the image that each release gives."""
    template = fields
    for key in path:
        template = manifest.as_fields(template[key])
    manifest.serving_container(template).pop("image", None)
    return fields


@dataclass(frozen=True)
class Job(Shaped):
    """The Cloud Run job that migrates the database."""

    kind: ClassVar[str] = "job"
    tags: ClassVar[tuple[str, ...]] = ("run",)

    @property
    @override
    def name(self) -> str:
        return self.names.migrate_job_name

    @property
    @override
    def secrets(self) -> list[str]:
        return [self.names.password_secret]

    @override
    def declared(self, live: Live | None) -> Fields:
        return self.shaped(versions_of(live))

    def shaped(self, versions: Mapping[str, str]) -> Fields:
        """The job's shape, without the image."""
        fields = manifest.job_fields(self.manifest(versions), PLACEHOLDER_IMAGE)
        del fields["name"]
        return without_image(fields, "template", "template")

    @override
    def differences(self, live: Live) -> list[Difference]:
        found = super().differences(live)
        newest = versions_of(live).get(self.names.password_secret)
        if newest and live.state[PINNED] not in {"", newest}:
            found.append(Difference(PINNED, live.state[PINNED], newest))
        return found

    @override
    def read(self, work: Work) -> Live | None:
        found = self.find(work)
        return None if found is None else observe_job(found, self.versions(work))

    def find(self, work: Work) -> run_v2.Job | None:
        """The job itself."""
        name = self.names.migrate_job
        return work.read("the job", lambda: work.cloud.run_jobs.get_job(name=name))

    @override
    def create(self, work: Work) -> None:
        job = manifest.job(self.manifest(self.versions(work)), PLACEHOLDER_IMAGE)
        job.name = ""
        request = run_v2.CreateJobRequest(parent=self.names.location, job_id=self.name, job=job)
        creating = work.call("create", lambda: work.cloud.run_jobs.create_job(request))
        work.wait("creating", creating)

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        found = self.find(work)
        if found is None:
            return
        live = observe_job(found, self.versions(work))
        declared = self.declared(live)
        fields = shape.lay_over(declared, dict(live.fields))
        # A run of the job has to have the password that the user has now.
        job_container(fields)["env"] = job_container(declared)["env"]
        job: run_v2.Job = run_v2.Job.from_json(json.dumps(fields))
        request = run_v2.UpdateJobRequest(job=job)
        updating = work.call("update", lambda: work.cloud.run_jobs.update_job(request))
        work.wait("updating", updating)

    @override
    def delete(self, work: Work) -> None:
        name = self.names.migrate_job
        deleting = work.call("delete", lambda: work.cloud.run_jobs.delete_job(name=name))
        work.wait("deleting", deleting)


def observe_job(found: run_v2.Job, versions: Mapping[str, str]) -> Live:
    """A job's fields."""
    fields: Fields = json.loads(run_v2.Job.to_json(found, **AS_DECLARED))
    pinned = [
        each.value_source.secret_key_ref.version
        for container in found.template.template.containers
        for each in container.env
        if each.value_source.secret_key_ref.secret
    ]
    state = {f"{SECRET}{name}": version for name, version in versions.items()}
    state[PINNED] = pinned[0] if pinned else ""
    return Live(fields, labels=dict(found.labels), state=state)


def job_container(fields: Value) -> Fields:
    """The container of a job."""
    execution = manifest.as_fields(manifest.as_fields(fields)["template"])
    return manifest.serving_container(execution["template"])


@dataclass(frozen=True)
class ServiceScope(Scope):
    """The service's policy."""

    tags: ClassVar[tuple[str, ...]] = ("run",)

    @override
    def get(self, cloud: Cloud, request: iam_policy_pb2.GetIamPolicyRequest) -> policy_pb2.Policy:
        return cloud.run_services.get_iam_policy(request)

    @override
    def set(self, cloud: Cloud, request: iam_policy_pb2.SetIamPolicyRequest) -> None:
        cloud.run_services.set_iam_policy(request)
