"""What a service is made of in one environment, and what each part needs: the one place that says.

Names are in names.py; how each kind is read and written, in resources/.
"""

from dataclasses import dataclass
from pathlib import Path

from infra.environment import Environment
from infra.manifest import Manifests
from infra.names import PLACEHOLDER_IMAGE, Names
from infra.resources.alerts import AlertPolicy, alerts
from infra.resources.apis import Apis
from infra.resources.base import Resource
from infra.resources.build import ConnectedRepository, Connection, Trigger
from infra.resources.database import Database, Instance, User
from infra.resources.iam import Account, AccountScope, Grant, Grants, ProjectScope, member
from infra.resources.monitoring import Dashboard
from infra.resources.registry import Repository, RepositoryScope
from infra.resources.run import Job, JobScope, Service, ServiceScope
from infra.resources.secrets import Password, Secret, SecretScope
from infra.resources.storage import Bucket, BucketScope

ACCESSOR = "roles/secretmanager.secretAccessor"
INVOKER = "roles/run.invoker"
# Where Google has nothing narrower to grant them on.
ON_PROJECT = {
    "run": (
        "roles/cloudsql.client",
        "roles/telemetry.tracesWriter",
        "roles/telemetry.metricsWriter",
        "roles/logging.logWriter",
    ),
    "build": ("roles/logging.logWriter",),
    "migrate": ("roles/cloudsql.client", "roles/logging.logWriter"),
}
# What releases what is pushed, where a trigger deploys: the account that builds. On the project
# only to look: operations, a list of secrets and logs are asked for there alone.
RELEASES = ("roles/logging.viewer", "roles/run.viewer", "roles/secretmanager.viewer")
DEVELOPER = "roles/run.developer"
ACTS_AS = "roles/iam.serviceAccountUser"
HOLDS_LEASE = "roles/storage.objectUser"
# What provision --check reads, as the account that runs the code of pull requests: configuration,
# and neither a secret's value, nor an object, nor a row.
CHECKS = (
    "roles/artifactregistry.reader",
    "roles/cloudbuild.builds.viewer",
    "roles/cloudbuild.connectionViewer",
    "roles/cloudsql.viewer",
    "roles/iam.securityReviewer",
    "roles/iam.serviceAccountViewer",
    "roles/logging.logWriter",
    "roles/monitoring.viewer",
    "roles/run.viewer",
    "roles/secretmanager.viewer",
    "roles/serviceusage.serviceUsageViewer",
    "roles/storage.bucketViewer",
)


def stack(environment: Environment, folder: Path) -> list[Resource]:
    """The resources of the service in `folder`, each after what it needs."""
    names = Names(environment)
    apis = Apis(names)
    run = Account(names, "run", "The service runs as this.", needs=(apis,))
    build = Account(names, "build", "Cloud Build builds as this.", needs=(apis,))
    migrate = Account(names, "migrate", "Migrations run as this.", needs=(apis,))
    trigger = environment.trigger
    checks = Account(names, "checks", "Pull requests are checked as this.", needs=(apis,))
    checked = (checks,) if trigger and trigger.checks else ()
    accounts = (run, build, migrate, *checked)
    project = ProjectScope(f"projects/{names.project}", names.project)
    released = releases(names, *RELEASES)
    looked = checks_of(names)
    on_project = Grants(
        names,
        project,
        (*project_grants(names), *released.granted, *looked.granted),
        withdrawn=(*released.withdrawn, *looked.withdrawn),
        needs=accounts,
    )

    registry = Repository(names, needs=(apis,))
    images = RepositoryScope(names.repository, f"images {names.name}")
    writes = (("roles/artifactregistry.writer", member(names, "build")),)
    on_registry = Grants(names, images, writes, needs=(registry, build), parent=registry)

    secrets = [
        Secret(names, name, needs=(apis,)) for name in dict.fromkeys(environment.secrets.values())
    ]
    password_secret = Secret(names, names.password_secret, needs=(apis,), data=True)
    password = Password(names, needs=(password_secret,), parent=password_secret, data=True)
    on_secrets = [
        Grants(
            names,
            scope(names, each),
            accessors(names, each),
            needs=(each, run, migrate),
            parent=each,
        )
        for each in (password_secret, *secrets)
    ]

    manifests = Manifests(folder, environment, PLACEHOLDER_IMAGE)
    ready = (run, password, on_project, *on_secrets)
    service = Service(names, manifests, needs=ready)
    callers = tuple((INVOKER, each) for each in environment.service.invokers)
    invokers = ServiceScope(names.service, f"service {names.name}")
    developed = releases(names, DEVELOPER, INVOKER)
    on_service = Grants(
        names,
        invokers,
        (*callers, *developed.granted),
        guarded=(INVOKER,),
        withdrawn=developed.withdrawn,
        needs=(service, build) if trigger else (service,),
        parent=service,
    )

    instance = Instance(names, needs=(apis,), data=True)
    # Nobody may be connected to a database that goes, and a user may own nothing.
    database = Database(names, needs=(instance,), parent=instance, outlives=(service,), data=True)
    user = User(names, needs=(instance, password), parent=instance, outlives=(database,), data=True)
    needed = (migrate, password, on_project, on_secrets[0], database, user)
    job = Job(names, manifests, needs=needed)

    pushed = builds(names, apis, build, *checked)
    on_released = released_on(names, build, (run, migrate), job) if trigger else []
    watched = watches(names, apis)
    # It has the lease, which is held until the last of the others is gone.
    others = (*accounts, on_project, registry, password_secret, *secrets, instance, service, job)
    bucket = Bucket(names, needs=(apis,), outlives=(*others, *pushed, *watched))
    source = BucketScope(names.bucket, names.bucket)
    reads = (("roles/storage.objectViewer", member(names, "build")),)
    lease = releases(names, HOLDS_LEASE)
    on_bucket = Grants(
        names,
        source,
        (*reads, *lease.granted),
        withdrawn=lease.withdrawn,
        needs=(bucket, build),
        parent=bucket,
    )

    return [
        apis,
        *accounts,
        on_project,
        bucket,
        on_bucket,
        registry,
        on_registry,
        password_secret,
        *secrets,
        *on_secrets,
        password,
        instance,
        database,
        user,
        *pushed,
        service,
        on_service,
        job,
        *on_released,
        *watched,
    ]


def project_grants(names: Names) -> tuple[Grant, ...]:
    """What the accounts may do in the project."""
    return tuple(
        (role, member(names, account)) for account, roles in ON_PROJECT.items() for role in roles
    )


def scope(names: Names, secret: Secret) -> SecretScope:
    """A secret's policy."""
    return SecretScope(names.secret(secret.name), f"secret {secret.name}")


def accessors(names: Names, secret: Secret) -> tuple[Grant, ...]:
    """Who may read a secret: migrations need no other than the database's password."""
    roles = ("run", "migrate") if secret.name == names.password_secret else ("run",)
    return tuple((ACCESSOR, member(names, role)) for role in roles)


@dataclass(frozen=True)
class Granted:
    """What an account has, or has no longer, by what the trigger is declared to do."""

    granted: tuple[Grant, ...] = ()
    withdrawn: tuple[Grant, ...] = ()

    @classmethod
    def where(cls, declared: bool, grants: tuple[Grant, ...]) -> "Granted":
        """The grants, given or taken back."""
        return cls(granted=grants) if declared else cls(withdrawn=grants)


def releases(names: Names, *roles: str) -> Granted:
    """What of these the account that builds has to release what is pushed."""
    trigger = names.environment.trigger
    grants = tuple((role, member(names, "build")) for role in roles)
    return Granted.where(trigger.deploy, grants) if trigger else Granted()


def checks_of(names: Names) -> Granted:
    """What the account has that checks pull requests."""
    trigger = names.environment.trigger
    grants = tuple((role, member(names, "checks")) for role in CHECKS)
    return Granted.where(trigger.checks, grants) if trigger else Granted()


def released_on(
    names: Names, build: Account, accounts: tuple[Account, ...], job: Job
) -> list[Resource]:
    """Who may release what is pushed, on the accounts that it runs as and on the job."""
    acts = releases(names, ACTS_AS)
    runs = releases(names, DEVELOPER)
    on_accounts = [
        Grants(
            names,
            AccountScope(
                f"projects/{names.project}/serviceAccounts/{each.email}", f"account {each.name}"
            ),
            acts.granted,
            withdrawn=acts.withdrawn,
            needs=(each, build),
            parent=each,
        )
        for each in accounts
    ]
    on_job = Grants(
        names,
        JobScope(names.migrate_job, f"job {names.migrate_job_name}"),
        runs.granted,
        withdrawn=runs.withdrawn,
        needs=(job, build),
        parent=job,
    )
    return [*on_accounts, on_job]


def builds(
    names: Names, apis: Apis, account: Account, checks: Account | None = None
) -> list[Resource]:
    """What builds a push, and checks a pull request, where a trigger is declared."""
    declared = names.environment.trigger
    if declared is None:
        return []
    connection = Connection(names, needs=(apis,))
    repository = ConnectedRepository(names, declared, needs=(connection,))
    trigger = Trigger(names, declared, needs=(repository, account))
    found: list[Resource] = [connection, repository, trigger]
    if checks:
        needs = (repository, checks)
        found.append(Trigger(names, declared, checks=True, needs=needs))
    return found


def watches(names: Names, apis: Apis) -> list[Resource]:
    """What shows the service and wakes somebody, where monitoring is declared."""
    declared = names.environment.monitoring
    if declared is None:
        return []
    dashboard = Dashboard(names, declared, needs=(apis,))
    policies = [
        AlertPolicy(names, declared, each, needs=(apis,)) for each in alerts(names, declared)
    ]
    return [dashboard, *policies]
