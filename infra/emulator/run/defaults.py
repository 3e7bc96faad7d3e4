"""What Cloud Run fills in, and what it refuses, in templates of revisions and tasks.

Source: the comments of google/cloud/run/v2, and answers recorded from the API.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from google.api import launch_stage_pb2  # type: ignore[import-untyped]
from google.cloud import run_v2

from infra.emulator import accounts, errors, projects
from infra.emulator.iam import Caller, has_permission
from infra.emulator.run.limits import check_tags, check_template
from infra.emulator.world import World

LIMITS = {"cpu": "1000m", "memory": "512Mi"}
CONCURRENCY = 80
MAXIMUM = 100
PORT = 8080
ID = re.compile(r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?")
RESERVED_VARIABLES = ("PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION")
SYSTEM_NAMESPACES = (
    "run.googleapis.com",
    "cloud.googleapis.com",
    "serving.knative.dev",
    "autoscaling.knative.dev",
)
GA = launch_stage_pb2.LaunchStage.GA
_KINDS = run_v2.TrafficTargetAllocationType
LATEST = _KINDS(_KINDS.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST)
BY_REVISION = _KINDS(_KINDS.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION)
_GEN2 = run_v2.ExecutionEnvironment(run_v2.ExecutionEnvironment.EXECUTION_ENVIRONMENT_GEN2)


def fill_service(world: World, service: run_v2.Service) -> None:
    """Puts in what a service leaves out, and refuses sizes that there are none of."""
    if not service.ingress:
        service.ingress = run_v2.IngressTraffic(run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL)
    if not service.launch_stage:
        service.launch_stage = GA
    if not service.traffic:
        service.traffic = [run_v2.TrafficTarget(type_=LATEST, percent=100)]
    for target in service.traffic:
        if not target.type_:
            target.type_ = BY_REVISION if target.revision else LATEST
        target.revision = target.revision.rpartition("/")[2]
    template = service.template
    template.timeout = template.timeout or timedelta(seconds=300)
    template.service_account = template.service_account or default_account(world, service.name)
    if not template.scaling.max_instance_count:
        template.scaling.max_instance_count = MAXIMUM
    if not template.max_instance_request_concurrency:
        template.max_instance_request_concurrency = CONCURRENCY
    for container in template.containers:
        fill_container(container)
        if not container.ports:
            container.ports = [run_v2.ContainerPort(name="http1", container_port=PORT)]
        port = container.ports[0].container_port
        if "startup_probe" not in container:
            container.startup_probe = run_v2.Probe(
                timeout_seconds=240,
                period_seconds=240,
                failure_threshold=1,
                tcp_socket=run_v2.TCPSocketAction(port=port),
            )
        _fill_probe(container.startup_probe, port)
        if "liveness_probe" in container:
            _fill_probe(container.liveness_probe, port)
    check_template(template, "service.template")


def fill_job(world: World, job: run_v2.Job) -> None:
    """Puts in what a job leaves out."""
    if not job.launch_stage:
        job.launch_stage = GA
    job.template.task_count = job.template.task_count or 1
    template = job.template.template
    if "max_retries" not in template:
        template.max_retries = 3
    template.timeout = template.timeout or timedelta(seconds=600)
    template.service_account = template.service_account or default_account(world, job.name)
    if not template.execution_environment:
        template.execution_environment = _GEN2
    for container in template.containers:
        fill_container(container)


def fill_container(container: run_v2.Container) -> None:
    """Puts in a container's resources, and the versions of its secrets."""
    if "resources" not in container:
        container.resources.cpu_idle = True
    limits: dict[str, str] = {**LIMITS, **container.resources.limits}
    container.resources.limits = limits
    for variable in container.env:
        if "value_source" in variable:
            selector = variable.value_source.secret_key_ref
            selector.version = selector.version or "latest"


def default_account(world: World, name: str) -> str:
    """Compute Engine's default account of the project in a name."""
    project = projects.find(world, name.split("/")[1])
    return f"{project.number}-compute@developer.gserviceaccount.com"


def check_id(given: str, field: str) -> None:
    """Refuses what is no id of a service or a job."""
    if not ID.fullmatch(given):
        raise errors.invalid(
            f"Invalid {field} {given!r}: must be 1 to 49 lowercase letters, digits and hyphens, "
            "begin with a letter and not end with a hyphen.",
            field,
        )


def check_labels(field: str, *pairs: Mapping[str, str]) -> None:
    """Refuses labels and annotations of v1, which are fields in v2."""
    for key in (key for labels in pairs for key in labels):
        if key.partition("/")[0] in SYSTEM_NAMESPACES:
            raise errors.invalid(
                f"Annotation or label {key} uses a namespace that is reserved for the system. Use "
                "the field of the v2 API instead.",
                field,
            )


def check_containers(
    containers: Sequence[run_v2.Container], volumes: Iterable[run_v2.Volume], field: str
) -> None:
    """Refuses what Cloud Run would, and what cannot be had without containers."""
    if not containers:
        raise errors.invalid("At least one container is required.", f"{field}.containers")
    if len(containers) > 1:
        raise errors.unimplemented(f"more than one container in {field}.containers")
    for container in containers:
        if not container.image:
            raise errors.invalid("The image is required.", f"{field}.containers[0].image")
        reserved = [one.name for one in container.env if one.name in RESERVED_VARIABLES]
        if reserved:
            raise errors.invalid(
                f"The following reserved env names were provided: {', '.join(reserved)}. These "
                "values are automatically set by the system.",
                f"{field}.containers[0].env",
            )
        names = [one.name for one in container.env]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise errors.invalid(
                f"Duplicate env names: {', '.join(sorted(twice))}.", f"{field}.containers[0].env"
            )
    for volume in volumes:
        for kind in ("secret", "empty_dir", "nfs", "gcs"):
            if kind in volume:
                raise errors.unimplemented(f"volumes of the kind {kind} in {field}.volumes")


def check_traffic(service: run_v2.Service) -> None:
    """Refuses traffic that does not add up."""
    if any(not 0 <= target.percent <= 100 for target in service.traffic):
        raise errors.invalid("Traffic percentages must be 0 to 100.", "service.traffic.percent")
    total = sum(target.percent for target in service.traffic)
    if total != 100:
        raise errors.invalid(
            f"Traffic percentages must add up to 100, got {total}.", "service.traffic"
        )
    tags = [target.tag for target in service.traffic if target.tag]
    if len(set(tags)) < len(tags):
        raise errors.invalid("Traffic tags must be unique.", "service.traffic")
    check_tags(service.name.rpartition("/")[2], service.traffic)
    for target in service.traffic:
        if target.type_ == BY_REVISION and not target.revision:
            raise errors.invalid("A revision is required.", "service.traffic.revision")
        if target.type_ == LATEST and target.revision:
            raise errors.invalid(
                "A target that is the latest revision cannot name one.", "service.traffic.revision"
            )


def check_account(world: World, caller: Caller, email: str, project: str) -> None:
    """Refuses an account that is not there, or that the caller may not act as."""
    allowed = has_permission(
        world, caller, "iam.serviceAccounts.actAs", f"projects/{project}/serviceAccounts/{email}"
    )
    known = email.endswith("@developer.gserviceaccount.com") or accounts.exists(world, email)
    if not (allowed and known):
        raise errors.error(
            "PERMISSION_DENIED",
            f"Permission 'iam.serviceaccounts.actAs' denied on service account {email} (or it may "
            "not exist).",
        )


def _fill_probe(probe: run_v2.Probe, port: int) -> None:
    probe.timeout_seconds = probe.timeout_seconds or 1
    probe.period_seconds = probe.period_seconds or 10
    probe.failure_threshold = probe.failure_threshold or 3
    if "http_get" in probe:
        probe.http_get.path = probe.http_get.path or "/"
        probe.http_get.port = probe.http_get.port or port
    elif "grpc" in probe:
        raise errors.unimplemented("gRPC probes")
    else:
        probe.tcp_socket.port = probe.tcp_socket.port or port
