"""Cloud Run: the service, who may call it, and the job that migrates its database.

What is deployed is not ours: an image, a revision's name, the traffic and the versions of secrets
are each release's. Until the first release the service runs Google's placeholder, without the
variables and probes that are about our own image.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, override

from infra import manifest
from infra.causes import cause_of
from infra.cloud import Cloud
from infra.names import PLACEHOLDER_IMAGE, Names
from infra.resources import run_writes, shape
from infra.resources.asks import Ask, fields, flag, listed, text, texts
from infra.resources.base import Difference, Fields, Found, Live, Resource, Work
from infra.resources.iam import Scope, get_policy, replacing
from infra.resources.secrets import ask_versions, find_versions, versions_found
from infra.rest import Json, Request
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

    manifests: manifest.Manifests

    @property
    def secrets(self) -> list[str]:
        """The secrets that the manifest and the environment name."""
        return [self.names.password_secret, *self.names.environment.secrets.values()]

    def manifest(self, versions: Mapping[str, str]) -> manifest.Manifest:
        """The manifest, without the variables of secrets that have no value yet."""
        return self.manifests.manifest(versions)

    @override
    def differences(self, live: Live) -> list[Difference]:
        return shape.differences(self.declared(live), dict(live.fields))

    @override
    def made(self) -> list[Difference]:
        return shape.differences(self.declared(None), {})

    def versions(self, work: Work) -> dict[str, str]:
        """The newest version of each secret that has one."""
        return find_versions(work, self.names.project, self.secrets)


@dataclass(frozen=True)
class Service(Shaped):
    """The Cloud Run service."""

    kind: ClassVar[str] = "service"
    tags: ClassVar[tuple[str, ...]] = ("run",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("run.services.get", "run.services.list", "secretmanager.versions.list"),
        "create": (
            "iam.serviceAccounts.actAs",
            "run.operations.get",
            "run.services.create",
            "run.services.get",
        ),
        "update": (
            "artifactregistry.repositories.downloadArtifacts",
            "iam.serviceAccounts.actAs",
            "run.operations.get",
            "run.services.get",
            "run.services.update",
            "secretmanager.versions.list",
        ),
        "delete": ("run.operations.get", "run.services.delete"),
    }

    @property
    @override
    def name(self) -> str:
        return self.names.name

    @override
    def asks(self) -> Mapping[str, Ask]:
        service = ask_service(self.names)
        return {"service": service, **ask_versions(self.names.project, self.secrets)}

    @override
    def observe(self, found: Found) -> Live | None:
        service = found.get("service")
        if service is None:
            return None
        state = {"image": text(serving(service), "image"), "uri": text(service, "uri")}
        return live_of(service, found, state)

    @override
    def declared(self, live: Live | None) -> Fields:
        versions = versions_of(live)
        declared = self.manifest(versions).fields
        del declared["name"]
        if live is None or live.state["image"] == PLACEHOLDER_IMAGE:
            return placeholder(declared)
        return without_image(declared, "template")

    @override
    def differences(self, live: Live) -> list[Difference]:
        return [*super().differences(live), *unready(live)]

    @override
    def create(self, work: Work) -> None:
        declared = self.declared(None)
        manifest.serving_container(declared["template"])["image"] = PLACEHOLDER_IMAGE
        run_writes.create_service(work, self.names, declared)
        self.wait_until_ready(work, "creating")

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        live = work.look(self)
        if live is None:
            return
        laid = manifest.as_fields(shape.lay_over(self.declared(live), dict(live.fields)))
        template = manifest.as_fields(laid["template"])
        # A revision of that name exists, with another configuration.
        template.pop("revision", None)
        mark_attempt(template, live, differences)
        run_writes.update_service(work, laid)
        self.wait_until_ready(work, "updating")

    def wait_until_ready(self, work: Work, doing: str) -> None:
        """Returns when the service is as it was asked to be. Raises CloudError."""
        last: list[Value] = [None]

        def settled() -> bool:
            last[0] = found = work.ask(ask_service(self.names))
            return found is None or is_settled(found)

        work.retry.until(doing, settled)
        why = failure(last[0])
        if why:
            cause = cause_of(why)
            raise CloudError(
                doing, why, f"Its logs: gcloud run services logs read {self.name}", cause
            )

    @override
    def delete(self, work: Work) -> None:
        run_writes.delete_service(work, self.names)


def ask_service(names: Names) -> Ask:
    """Asks for the service."""
    services = Request("run", f"v2/{names.location}/services", (), "services")
    service = Request("run", f"v2/{names.service}")
    return Ask("the services", services, service, ("name", names.service))


def ask_job(names: Names) -> Ask:
    """Asks for the job that migrates."""
    jobs = Request("run", f"v2/{names.location}/jobs", (), "jobs")
    job = Request("run", f"v2/{names.migrate_job}")
    return Ask("the jobs", jobs, job, ("name", names.migrate_job))


def serving(service: Value) -> Json:
    """The container that gets the requests."""
    containers = listed(service, "template", "containers")
    return next((each for each in containers if each.get("ports")), containers[0])


def live_of(thing: Value, found: Found, state: Mapping[str, str]) -> Live:
    """A service or a job as it is, with why it is not ready and the versions of its secrets."""
    settled = is_settled(thing)
    versions = {f"{SECRET}{name}": version for name, version in versions_found(found).items()}
    return Live(
        fields(thing),
        labels=texts(thing, "labels"),
        pending="" if settled else "Cloud Run is still bringing out the last change",
        state={**state, READY: failure(thing) if settled else "", **versions},
    )


def unready(live: Live) -> list[Difference]:
    """That the last change failed: what is declared is there then, and does not work."""
    why = live.state[READY]
    return [Difference(READY, why, True)] if why else []


def mark_attempt(template: Fields, live: Live, differences: list[Difference]) -> None:
    """Makes a template differ from the one that failed: Google does not try the same again."""
    if any(each.path == READY for each in differences):
        annotations = manifest.as_fields(template.setdefault("annotations", {}))
        annotations[ATTEMPT] = str(int(text(dict(live.fields), "generation") or "0") + 1)


def versions_of(live: Live | None) -> dict[str, str]:
    """The versions of secrets that were read."""
    state = live.state if live else {}
    return {
        key.removeprefix(SECRET): version
        for key, version in state.items()
        if key.startswith(SECRET)
    }


def is_settled(thing: Value) -> bool:
    """Whether Cloud Run has seen a service's or job's last change, and is done, well or not."""
    generations = text(thing, "observedGeneration"), text(thing, "generation")
    return not flag(thing, "reconciling") and generations[0] == generations[1]


def failure(thing: Value) -> str:
    """Why a settled service or job is not ready, "" when it is."""
    condition = fields(thing, "terminalCondition")
    if text(condition, "state") == "CONDITION_FAILED":
        return text(condition, "message") or "Cloud Run does not say why"
    return ""


def placeholder(declared: Fields) -> Fields:
    """The shape, of a service that runs the placeholder."""
    template = manifest.as_fields(declared["template"])
    container = manifest.serving_container(template)
    kept = {key: value for key, value in template.items() if key not in UNRELATED}
    containers: list[Value] = [{key: container[key] for key in SHAPE if key in container}]
    return {**declared, "template": {**kept, "containers": containers}}


def without_image(declared: Fields, *path: str) -> Fields:
    """The shape, without the image that each release gives."""
    template = declared
    for key in path:
        template = manifest.as_fields(template[key])
    manifest.serving_container(template).pop("image", None)
    return declared


@dataclass(frozen=True)
class Job(Shaped):
    """The Cloud Run job that migrates the database."""

    kind: ClassVar[str] = "job"
    tags: ClassVar[tuple[str, ...]] = ("run",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("run.jobs.get", "run.jobs.list", "secretmanager.versions.list"),
        "create": (
            "iam.serviceAccounts.actAs",
            "run.jobs.create",
            "run.operations.get",
            "secretmanager.versions.list",
        ),
        "update": (
            "artifactregistry.repositories.downloadArtifacts",
            "iam.serviceAccounts.actAs",
            "run.jobs.get",
            "run.jobs.update",
            "run.operations.get",
            "secretmanager.versions.list",
        ),
        "delete": ("run.jobs.delete", "run.operations.get"),
    }

    @property
    @override
    def name(self) -> str:
        return self.names.migrate_job_name

    @property
    @override
    def secrets(self) -> list[str]:
        return [self.names.password_secret]

    @override
    def asks(self) -> Mapping[str, Ask]:
        return {"job": ask_job(self.names), **ask_versions(self.names.project, self.secrets)}

    @override
    def observe(self, found: Found) -> Live | None:
        job = found.get("job")
        if job is None:
            return None
        pinned = [
            text(reference, "version")
            for container in listed(job, "template", "template", "containers")
            for each in listed(container, "env")
            if (reference := fields(each, "valueSource", "secretKeyRef"))
        ]
        return live_of(job, found, {PINNED: pinned[0] if pinned else ""})

    @override
    def declared(self, live: Live | None) -> Fields:
        declared = manifest.job_fields(self.manifest(versions_of(live)), PLACEHOLDER_IMAGE)
        del declared["name"]
        return without_image(declared, "template", "template")

    @override
    def differences(self, live: Live) -> list[Difference]:
        found = [*super().differences(live), *unready(live)]
        newest = versions_of(live).get(self.names.password_secret)
        if newest and live.state[PINNED] not in {"", newest}:
            found.append(Difference(PINNED, live.state[PINNED], newest))
        return found

    @override
    def create(self, work: Work) -> None:
        run_writes.create_job(work, self.names, self.manifest(self.versions(work)))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        live = work.look(self)
        if live is None:
            return
        declared = self.declared(live)
        laid = manifest.as_fields(shape.lay_over(declared, dict(live.fields)))
        # A run of the job has to have the password that the user has now.
        job_container(laid)["env"] = job_container(declared)["env"]
        mark_attempt(manifest.as_fields(laid["template"]), live, differences)
        run_writes.update_job(work, laid)

    @override
    def delete(self, work: Work) -> None:
        run_writes.delete_job(work, self.names)


def job_container(job: Fields) -> Fields:
    """The container of a job."""
    execution = manifest.as_fields(job["template"])
    return manifest.serving_container(execution["template"])


@dataclass(frozen=True)
class ServiceScope(Scope):
    """The service's policy."""

    tags: ClassVar[tuple[str, ...]] = ("run",)
    policy: ClassVar[str] = "run.services"

    @override
    def request(self) -> Request:
        return get_policy("run", "v2", self.resource)

    @override
    def set(self, cloud: Cloud, policy: Json) -> None:
        cloud.run_services.set_iam_policy(replacing(self.resource, policy))


@dataclass(frozen=True)
class JobScope(Scope):
    """The policy of the job that migrates."""

    tags: ClassVar[tuple[str, ...]] = ("run",)
    policy: ClassVar[str] = "run.jobs"

    @override
    def request(self) -> Request:
        return get_policy("run", "v2", self.resource)

    @override
    def set(self, cloud: Cloud, policy: Json) -> None:
        cloud.run_jobs.set_iam_policy(replacing(self.resource, policy))
