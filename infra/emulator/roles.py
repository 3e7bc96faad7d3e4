"""The roles that can be granted, and the permissions in each that the emulator asks for.

From Google's "IAM roles and permissions index", cut down to what is enforced here.
"""

_SECRET_VIEW = {
    "secretmanager.secrets.get",
    "secretmanager.secrets.list",
    "secretmanager.versions.get",
    "secretmanager.versions.list",
}
_OBJECT_VIEW = {"storage.objects.get", "storage.objects.list"}
_OBJECTS = _OBJECT_VIEW | {
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.update",
}
_REGISTRY_READ = {
    f"artifactregistry.{kind}.{verb}"
    for kind in ("dockerimages", "packages", "repositories", "tags", "versions")
    for verb in ("get", "list")
} | {"artifactregistry.repositories.downloadArtifacts"}
_REGISTRY_WRITE = _REGISTRY_READ | {
    "artifactregistry.repositories.uploadArtifacts",
    "artifactregistry.tags.create",
    "artifactregistry.tags.update",
}
_RUN_VIEW = {
    f"run.{kind}.{verb}"
    for kind in ("services", "revisions", "jobs", "executions", "operations", "tasks")
    for verb in ("get", "list")
} | {"run.services.getIamPolicy", "run.jobs.getIamPolicy", "run.locations.list"}
_RUN_INVOKE = {"run.routes.invoke", "run.jobs.run", "run.jobs.runWithOverrides"}
_RUN_DEVELOP = (
    _RUN_VIEW
    | {f"run.{kind}.{verb}" for kind in ("services", "jobs") for verb in ("create", "update")}
    | {f"run.{kind}.delete" for kind in ("services", "jobs", "revisions", "executions")}
    | {"run.executions.cancel", "run.jobs.run", "run.jobs.runWithOverrides"}
    | {"run.operations.delete", "run.routes.invoke"}
)
_SQL_VIEW = {
    f"cloudsql.{kind}.{verb}"
    for kind in ("instances", "databases", "users", "backupRuns")
    for verb in ("get", "list")
}
_SQL_CONNECT = {"cloudsql.instances.connect", "cloudsql.instances.get"}
_SQL_EDIT = (
    _SQL_VIEW
    | _SQL_CONNECT
    | {f"cloudsql.databases.{verb}" for verb in ("create", "update", "delete")}
    | {"cloudsql.instances.update", "cloudsql.instances.restart", "cloudsql.instances.export"}
)
_BUILD_VIEW = {
    "cloudbuild.builds.get",
    "cloudbuild.builds.list",
    "cloudbuild.connections.get",
    "cloudbuild.connections.list",
    "cloudbuild.repositories.get",
    "cloudbuild.repositories.list",
    "cloudbuild.operations.get",
}
_BUILD_EDIT = _BUILD_VIEW | {
    "cloudbuild.builds.create",
    "cloudbuild.builds.update",
    "cloudbuild.connections.create",
    "cloudbuild.connections.update",
    "cloudbuild.connections.delete",
    "cloudbuild.repositories.create",
    "cloudbuild.repositories.delete",
}
_LOG_VIEW = {"logging.logEntries.list", "logging.logs.list"}
_ACCOUNT_VIEW = {"iam.serviceAccounts.get", "iam.serviceAccounts.list"}
_ACCOUNT_EDIT = _ACCOUNT_VIEW | {
    "iam.serviceAccounts.create",
    "iam.serviceAccounts.delete",
    "iam.serviceAccounts.update",
    "iam.serviceAccounts.enable",
    "iam.serviceAccounts.disable",
}
_SERVICES = {"serviceusage.services.get", "serviceusage.services.list"}

_VIEW = ("get", "list")
_EDIT = (*_VIEW, "create", "delete", "update")


def _of(kind: str, *verbs: str) -> set[str]:
    """The permissions to do something with a kind of resource."""
    return {f"{kind}.{verb}" for verb in verbs}


_READ_VERBS = ("get", "list", "getIamPolicy")

# Everything under these prefixes.
EVERYTHING = "*"

ROLES: dict[str, set[str]] = {
    "roles/artifactregistry.admin": {"artifactregistry.*"},
    "roles/artifactregistry.reader": _REGISTRY_READ,
    "roles/artifactregistry.repoAdmin": _REGISTRY_WRITE
    | {"artifactregistry.packages.delete", "artifactregistry.tags.delete"},
    "roles/artifactregistry.writer": _REGISTRY_WRITE,
    "roles/artifactregistry.createOnPushWriter": _REGISTRY_WRITE
    | {"artifactregistry.repositories.createOnPush"},
    "roles/cloudbuild.builds.builder": _BUILD_EDIT
    | _REGISTRY_WRITE
    | _OBJECTS
    | {"logging.logEntries.create", "storage.buckets.get", "storage.buckets.list"},
    "roles/cloudbuild.builds.editor": _BUILD_EDIT,
    "roles/cloudbuild.builds.viewer": _BUILD_VIEW,
    "roles/cloudbuild.connectionAdmin": {"cloudbuild.connections.*", "cloudbuild.repositories.*"},
    "roles/cloudbuild.connectionViewer": _BUILD_VIEW,
    "roles/cloudbuild.serviceAgent": {"cloudbuild.*", "logging.logEntries.create"},
    "roles/cloudsql.admin": {"cloudsql.*"},
    "roles/cloudsql.client": _SQL_CONNECT,
    "roles/cloudsql.editor": _SQL_EDIT,
    "roles/cloudsql.instanceUser": {"cloudsql.instances.get", "cloudsql.instances.login"},
    "roles/cloudsql.viewer": _SQL_VIEW,
    "roles/cloudtrace.agent": {"cloudtrace.traces.patch"},
    "roles/cloudtrace.user": {"cloudtrace.traces.get", "cloudtrace.traces.list"},
    "roles/errorreporting.writer": {"errorreporting.errorEvents.create"},
    "roles/iam.securityAdmin": {"*.getIamPolicy", "*.setIamPolicy"},
    "roles/iam.securityReviewer": {"*.getIamPolicy", "*.list"},
    "roles/iam.serviceAccountAdmin": _ACCOUNT_EDIT
    | {"iam.serviceAccounts.getIamPolicy", "iam.serviceAccounts.setIamPolicy"},
    "roles/iam.serviceAccountOpenIdTokenCreator": {"iam.serviceAccounts.getOpenIdToken"},
    "roles/iam.serviceAccountTokenCreator": {
        "iam.serviceAccounts.getAccessToken",
        "iam.serviceAccounts.getOpenIdToken",
        "iam.serviceAccounts.signBlob",
        "iam.serviceAccounts.signJwt",
    },
    "roles/iam.serviceAccountUser": _ACCOUNT_VIEW | {"iam.serviceAccounts.actAs"},
    "roles/iam.serviceAccountViewer": _ACCOUNT_VIEW,
    "roles/iam.workloadIdentityUser": {
        "iam.serviceAccounts.getAccessToken",
        "iam.serviceAccounts.getOpenIdToken",
    },
    "roles/logging.admin": {"logging.*"},
    "roles/logging.bucketWriter": {"logging.buckets.write"},
    "roles/logging.logWriter": {"logging.logEntries.create"},
    "roles/logging.viewer": _LOG_VIEW,
    "roles/monitoring.admin": {"monitoring.*"},
    "roles/monitoring.alertPolicyEditor": _of("monitoring.alertPolicies", *_EDIT),
    "roles/monitoring.alertPolicyViewer": _of("monitoring.alertPolicies", *_VIEW),
    "roles/monitoring.dashboardEditor": _of("monitoring.dashboards", *_EDIT),
    "roles/monitoring.dashboardViewer": _of("monitoring.dashboards", *_VIEW),
    "roles/monitoring.editor": {"monitoring.*"},
    "roles/monitoring.metricWriter": {"monitoring.timeSeries.create"},
    "roles/monitoring.notificationChannelEditor": _of("monitoring.notificationChannels", *_EDIT),
    "roles/monitoring.notificationChannelViewer": _of("monitoring.notificationChannels", *_VIEW),
    "roles/monitoring.viewer": {"monitoring.timeSeries.list"}
    | _of("monitoring.alertPolicies", *_VIEW)
    | _of("monitoring.dashboards", *_VIEW)
    | _of("monitoring.notificationChannels", *_VIEW),
    "roles/owner": {EVERYTHING},
    "roles/editor": {EVERYTHING},
    "roles/viewer": {f"*.{verb}" for verb in _READ_VERBS},
    "roles/browser": {"resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy"},
    "roles/pubsub.publisher": {"pubsub.topics.publish"},
    "roles/pubsub.subscriber": {"pubsub.subscriptions.consume"},
    "roles/resourcemanager.projectIamAdmin": {
        "resourcemanager.projects.get",
        "resourcemanager.projects.getIamPolicy",
        "resourcemanager.projects.setIamPolicy",
    },
    "roles/run.admin": {"run.*"},
    "roles/run.developer": _RUN_DEVELOP,
    "roles/run.invoker": _RUN_INVOKE,
    "roles/run.jobsExecutor": {"run.jobs.run"},
    "roles/run.jobsExecutorWithOverrides": {"run.jobs.run", "run.jobs.runWithOverrides"},
    "roles/run.serviceAgent": {"run.*", "iam.serviceAccounts.getAccessToken"},
    "roles/run.sourceDeveloper": _RUN_DEVELOP,
    "roles/run.viewer": _RUN_VIEW,
    "roles/secretmanager.admin": {"secretmanager.*"},
    "roles/secretmanager.secretAccessor": {"secretmanager.versions.access"},
    "roles/secretmanager.secretVersionAdder": {"secretmanager.versions.add"},
    "roles/secretmanager.secretVersionManager": {
        "secretmanager.versions.add",
        "secretmanager.versions.destroy",
        "secretmanager.versions.disable",
        "secretmanager.versions.enable",
        "secretmanager.versions.get",
        "secretmanager.versions.list",
    },
    "roles/secretmanager.viewer": _SECRET_VIEW,
    "roles/serviceusage.serviceUsageAdmin": _SERVICES
    | {"serviceusage.services.enable", "serviceusage.services.disable"}
    | {"serviceusage.operations.get"},
    "roles/serviceusage.serviceUsageConsumer": _SERVICES | {"serviceusage.services.use"},
    "roles/serviceusage.serviceUsageViewer": _SERVICES,
    "roles/storage.admin": {"storage.*"},
    "roles/storage.bucketViewer": {"storage.buckets.get", "storage.buckets.list"},
    "roles/storage.legacyBucketOwner": {"storage.buckets.get", "storage.objects.list"},
    "roles/storage.legacyBucketReader": {"storage.buckets.get", "storage.objects.list"},
    "roles/storage.legacyBucketWriter": {
        "storage.buckets.get",
        "storage.objects.create",
        "storage.objects.delete",
        "storage.objects.list",
    },
    "roles/storage.legacyObjectOwner": {"storage.objects.get"},
    "roles/storage.legacyObjectReader": {"storage.objects.get"},
    "roles/storage.objectAdmin": _OBJECTS,
    "roles/storage.objectCreator": {"storage.objects.create"},
    "roles/storage.objectUser": _OBJECTS,
    "roles/storage.objectViewer": _OBJECT_VIEW,
    "roles/telemetry.metricsWriter": {"telemetry.metrics.write"},
    "roles/telemetry.tracesWriter": {"telemetry.traces.write"},
}

# What the editor role leaves out: who may do what, and what secrets say.
_NOT_FOR_EDITORS = ("setIamPolicy", "secretmanager.versions.access")


def grants(role: str, permission: str) -> bool:
    """Returns whether a role has a permission."""
    if role == "roles/editor" and permission.endswith(_NOT_FOR_EDITORS):
        return False
    return any(_covers(pattern, permission) for pattern in ROLES.get(role, ()))


def concerns(role: str, service: str) -> bool:
    """Returns whether a role has any permission of a service (`secretmanager`, say)."""
    return any(pattern.startswith(("*", f"{service}.")) for pattern in ROLES.get(role, ()))


def _covers(pattern: str, permission: str) -> bool:
    if pattern == EVERYTHING:
        return True
    if pattern.endswith(".*"):
        return permission.startswith(pattern[:-1])
    if pattern.startswith("*."):
        return permission.endswith(pattern[1:])
    return pattern == permission
