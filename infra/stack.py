"""What a service is made of in one environment, and what each part needs: the one place that says.

Names are in names.py; how each kind is read and written, in resources/.
"""

from pathlib import Path

from infra.environment import Environment
from infra.manifest import Manifests
from infra.names import PLACEHOLDER_IMAGE, Names
from infra.resources.alerts import AlertPolicy, alerts
from infra.resources.apis import Apis
from infra.resources.base import Resource
from infra.resources.build import ConnectedRepository, Connection, Trigger
from infra.resources.database import Database, Instance, User
from infra.resources.iam import Account, Grant, Grants, ProjectScope, member
from infra.resources.monitoring import Dashboard
from infra.resources.registry import Repository, RepositoryScope
from infra.resources.run import Job, Service, ServiceScope
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


def stack(environment: Environment, folder: Path) -> list[Resource]:
    """The resources of the service in `folder`, each after what it needs."""
    names = Names(environment)
    apis = Apis(names)
    run = Account(names, "run", "The service runs as this.", needs=(apis,))
    build = Account(names, "build", "Cloud Build builds as this.", needs=(apis,))
    migrate = Account(names, "migrate", "Migrations run as this.", needs=(apis,))
    accounts = (run, build, migrate)
    project = ProjectScope(f"projects/{names.project}", names.project)
    on_project = Grants(names, project, project_grants(names), needs=accounts)

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
    on_service = Grants(
        names, invokers, callers, guarded=(INVOKER,), needs=(service,), parent=service
    )

    instance = Instance(names, needs=(apis,), data=True)
    # Nobody may be connected to a database that goes, and a user may own nothing.
    database = Database(names, needs=(instance,), parent=instance, outlives=(service,), data=True)
    user = User(names, needs=(instance, password), parent=instance, outlives=(database,), data=True)
    needed = (migrate, password, on_project, on_secrets[0], database, user)
    job = Job(names, manifests, needs=needed)

    pushed = builds(names, apis, build)
    watched = watches(names, apis)
    # It has the lease, which is held until the last of the others is gone.
    others = (*accounts, on_project, registry, password_secret, *secrets, instance, service, job)
    bucket = Bucket(names, needs=(apis,), outlives=(*others, *pushed, *watched))
    source = BucketScope(names.bucket, names.bucket)
    reads = (("roles/storage.objectViewer", member(names, "build")),)
    on_bucket = Grants(names, source, reads, needs=(bucket, build), parent=bucket)

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


def builds(names: Names, apis: Apis, account: Account) -> list[Resource]:
    """What builds a push, where a trigger is declared."""
    declared = names.environment.trigger
    if declared is None:
        return []
    connection = Connection(names, needs=(apis,))
    repository = ConnectedRepository(names, declared, needs=(connection,))
    trigger = Trigger(names, declared, needs=(repository, account))
    return [connection, repository, trigger]


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
