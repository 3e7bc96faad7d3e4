"""Google's APIs as Service Usage knows them, and which of them a project has enabled."""

from infra.emulator import errors, projects
from infra.emulator.world import World

# What can be enabled, and its title. Those the emulator answers for, and those a service's stack
# may want besides.
TITLES = {
    "artifactregistry.googleapis.com": "Artifact Registry API",
    "cloudbuild.googleapis.com": "Cloud Build API",
    "cloudquotas.googleapis.com": "Cloud Quotas API",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "cloudscheduler.googleapis.com": "Cloud Scheduler API",
    "cloudtrace.googleapis.com": "Cloud Trace API",
    "compute.googleapis.com": "Compute Engine API",
    "containerregistry.googleapis.com": "Container Registry API",
    "iam.googleapis.com": "Identity and Access Management (IAM) API",
    "iamcredentials.googleapis.com": "IAM Service Account Credentials API",
    "logging.googleapis.com": "Cloud Logging API",
    "telemetry.googleapis.com": "Telemetry API",
    "monitoring.googleapis.com": "Cloud Monitoring API",
    "pubsub.googleapis.com": "Cloud Pub/Sub API",
    "run.googleapis.com": "Cloud Run Admin API",
    "secretmanager.googleapis.com": "Secret Manager API",
    "servicenetworking.googleapis.com": "Service Networking API",
    "serviceusage.googleapis.com": "Service Usage API",
    "sql-component.googleapis.com": "Cloud SQL",
    "sqladmin.googleapis.com": "Cloud SQL Admin API",
    "storage.googleapis.com": "Cloud Storage API",
    "storage-api.googleapis.com": "Google Cloud Storage JSON API",
    "storage-component.googleapis.com": "Cloud Storage",
    "vpcaccess.googleapis.com": "Serverless VPC Access API",
}

# What answers in every project from the first.
ALWAYS = {
    "cloudresourcemanager.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "serviceusage.googleapis.com",
}


def is_enabled(world: World, service: str, project_id: str) -> bool:
    """Returns whether a project has enabled an API."""
    return service in ALWAYS or world.get("services", f"{project_id}/{service}") is not None


def require(world: World, service: str, project_id: str) -> None:
    """Raises 403 SERVICE_DISABLED where an API is not enabled; never where no project is known.

    What was enabled or disabled and is late is not seen yet.
    """
    key = f"{project_id}/{service}"
    if project_id and service not in ALWAYS and world.seen("services", key) is None:
        number = projects.find(world, project_id).number
        raise errors.service_disabled(service, TITLES.get(service, service), number)


def enable(world: World, service: str, project_id: str) -> None:
    """Enables an API in a project."""
    world.put("services", f"{project_id}/{service}", {"name": service})


def disable(world: World, service: str, project_id: str) -> None:
    """Disables an API in a project; what it made stays."""
    world.delete("services", f"{project_id}/{service}")
