"""The permissions that a plan, a release and a removal need, and the least role that has them.

Talks to nobody: what is needed follows from the environment's file and the stack.
"""

from collections.abc import Iterable

import yaml

from infra.environment import Environment
from infra.plan import Action, Plan
from infra.resources.base import Resource

RELEASE: dict[str, tuple[str, ...]] = {
    "upload the source": (
        "storage.buckets.get",
        "storage.objects.create",
        "storage.objects.get",
    ),
    "build the image": (
        "artifactregistry.tags.get",
        "cloudbuild.builds.create",
        "cloudbuild.builds.get",
        "cloudbuild.builds.update",
        "iam.serviceAccounts.actAs",
    ),
    "migrate the database": (
        "artifactregistry.repositories.downloadArtifacts",
        "iam.serviceAccounts.actAs",
        "run.executions.get",
        "run.jobs.get",
        "run.jobs.run",
        "run.jobs.runWithOverrides",
        "run.jobs.update",
        "run.operations.get",
    ),
    "roll out": (
        "artifactregistry.repositories.downloadArtifacts",
        "iam.serviceAccounts.actAs",
        "run.operations.get",
        "run.revisions.get",
        "run.revisions.list",
        "run.routes.invoke",
        "run.services.get",
        "run.services.update",
        "secretmanager.secrets.list",
        "secretmanager.versions.list",
    ),
    "read the logs": ("logging.logEntries.list",),
}
"""What each step of `invoke deploy` and `invoke migrate` needs."""

LEASE = (
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.get",
    "storage.objects.update",
)
"""What it takes to be the only one who writes: an object in the bucket of the source."""

PROVISION = ("read", "create", "update")
DESTROY = ("read", "delete")


def due(plan: Plan) -> set[str]:
    """What a plan's reads and writes need; of what could not be read, all that provision may do."""
    verbs = {
        Action.CREATE: ("read", "create"),
        Action.UPDATE: ("read", "update"),
    }
    known = (
        permission
        for change in plan.changes
        for verb in verbs.get(change.action, ("read",))
        for permission in change.resource.requires(verb)
    )
    unread = [resource for resource, _ in plan.failures]
    lease = LEASE if plan.due or unread else ()
    return {*known, *needed(unread, PROVISION), *lease}


def needed(resources: Iterable[Resource], verbs: Iterable[str]) -> set[str]:
    """What it takes to do to each resource what the verbs say."""
    listed = tuple(verbs)
    return {
        permission
        for resource in resources
        for verb in listed
        for permission in resource.requires(verb)
    }


def least(resources: Iterable[Resource], *, destroy: bool = False) -> list[str]:
    """What provision, deploy and migrate need, and with `destroy` that too; sorted."""
    listed = list(resources)
    found = {*needed(listed, PROVISION), *LEASE}
    found.update(permission for step in RELEASE.values() for permission in step)
    if destroy:
        found |= needed(listed, DESTROY)
    return sorted(found)


def role(environment: Environment, resources: Iterable[Resource], *, destroy: bool = False) -> str:
    """The role as the YAML that `gcloud iam roles create ID --project=P --file=…` takes."""
    name = f"{environment.service.name} in {environment.name}"
    does = "provisions, releases and destroys" if destroy else "provisions and releases"
    return yaml.safe_dump(
        {
            "title": f"Provisions {name}",
            "description": f"Exactly what {does} {name}; written by invoke doctor --role",
            "stage": "GA",
            "includedPermissions": least(resources, destroy=destroy),
        },
        sort_keys=False,
        width=200,
    )
