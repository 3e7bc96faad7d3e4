"""Google's clients, each built when it is first used: credentials, impersonation, endpoints.

Importing this module imports none of Google's libraries; asking for a client imports its own.
"""

# ruff: noqa: PLC0415

import os
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from infra.environment import Environment
from infra.login import EMULATOR, LOG_IN, METADATA, check_emulator, refused
from infra.names import Names
from infra.project import ProjectError
from infra.rest import Bearer, CredentialsLogin, Login, Rest

if TYPE_CHECKING:
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import Credentials
    from google.auth.transport.requests import AuthorizedSession
    from google.cloud import (
        artifactregistry_v1,
        resourcemanager_v3,
        run_v2,
        secretmanager_v1,
        service_usage_v1,
        sqladmin_v1beta4,
    )
    from google.cloud.devtools import cloudbuild_v1, cloudbuild_v2
    from google.cloud.storage import Client as StorageClient  # type: ignore[import-untyped]
    from urllib3 import PoolManager

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
CONNECTIONS = 32
LOCAL_TOKEN = "local"  # noqa: S105


class CredentialsError(ProjectError):
    """There are no credentials, or they are no longer good; the text says how to log in."""


class Made:
    """What was made already, for all clouds that share it: clients and connections, by name."""

    def __init__(self) -> None:
        self.things: dict[str, object] = {}
        self.locks: dict[str, Lock] = {}

    def lock(self, name: str) -> Lock:
        """One for each: importing one client's library must not hold up who wants another's."""
        return self.locks.setdefault(name, Lock())


class once[T]:
    """A property that is made at its first use, once for all clouds that share what is made."""

    def __init__(self, make: "Callable[[Cloud], T]") -> None:
        self.make = make
        self.name = make.__name__
        self.__doc__ = make.__doc__

    def __get__(self, cloud: "Cloud", owner: "type[Cloud]") -> T:
        made = cloud.made
        if self.name not in made.things:
            with made.lock(self.name):
                if self.name not in made.things:
                    made.things[self.name] = self.make(cloud)
        thing: T = made.things[self.name]  # type: ignore[assignment]
        return thing


class Cloud:
    """The clients an environment's resources are reached with.

    `endpoint`, HOST:PORT, sends every call to an emulator; so does CLOUD_EMULATOR_HOST.
    Google's clients are thread-safe, and so is this.
    """

    def __init__(self, environment: Environment, endpoint: str | None = None) -> None:
        self.environment = environment
        self.names = Names(environment)
        self.endpoint = endpoint or os.environ.get(EMULATOR) or None
        self.made = Made()
        if self.endpoint:
            bypass_proxies(self.endpoint)

    def of(self, environment: Environment) -> "Cloud":
        """The cloud of another environment; reached with the same clients, as the same caller."""
        other = Cloud(environment, self.endpoint)
        if environment.impersonate == self.environment.impersonate:
            other.made = self.made
        return other

    @property
    def is_emulated(self) -> bool:
        """Whether calls go to an emulator."""
        return self.endpoint is not None

    @property
    def is_nobody(self) -> bool:
        """Whether calls are made as nobody, who owns everything of an emulator. In one of its
        builds they are the build's account's, as with Google."""
        return bool(self.endpoint) and not (
            self.environment.impersonate or os.environ.get(METADATA)
        )

    def connect(self) -> None:
        """Checks that there is somebody to talk to, as somebody. Raises ProjectError."""
        if self.endpoint:
            # As nobody: whether an account can be had is found out with the first call as it.
            nobody = Rest(self.url, lambda pool: Bearer(LOCAL_TOKEN), direct=True)
            check_emulator(nobody, self.endpoint)
        self.rest.connect()
        if not self.is_nobody:
            self._log_in()

    def _log_in(self) -> None:
        """Gets a token: once, and not in each of the threads that will need it."""
        from google.auth.exceptions import RefreshError, TransportError

        try:
            self.rest.login.headers()
        except RefreshError as error:
            raise CredentialsError(refused(error, self.environment)) from error
        except TransportError as error:
            raise CredentialsError(f"Google can't be reached to log in: {error}") from error

    @once
    def rest(self) -> Rest:
        """Reads, without any of Google's libraries but those that know who we are."""
        return Rest(self.url, self._login, direct=self.is_emulated)

    def _login(self, pool: "PoolManager") -> Login:
        if self.is_nobody:
            return Bearer(LOCAL_TOKEN)
        return CredentialsLogin(self.credentials, pool)

    @once
    def credentials(self) -> "Credentials":
        """Application default credentials, or the account's we act as. Raises CredentialsError."""
        import google.auth
        from google.auth import compute_engine, impersonated_credentials
        from google.auth.exceptions import DefaultCredentialsError
        from google.oauth2.credentials import Credentials as Token

        source: Credentials
        account = self.environment.impersonate
        try:
            if self.endpoint and os.environ.get(METADATA):
                source = compute_engine.Credentials()  # type: ignore[no-untyped-call]
            elif self.endpoint:
                source = Token(LOCAL_TOKEN)  # type: ignore[no-untyped-call]
            else:
                source, _ = google.auth.default(scopes=[SCOPE], quota_project_id=None)
        except DefaultCredentialsError:
            raise CredentialsError(LOG_IN) from None
        if account is None:
            return source
        override = (
            f"{self.url('iamcredentials')}/v1/projects/-/serviceAccounts/{account}"
            ":generateAccessToken"
        )
        return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
            source_credentials=source,
            target_principal=account,
            target_scopes=[SCOPE],
            iam_endpoint_override=override if self.endpoint else None,
        )

    def url(self, prefix: str) -> str:
        """Where an API is: `prefix` is its name here, which is also the emulator's path for it."""
        if self.endpoint:
            return f"http://{self.endpoint}/{prefix}"
        return f"https://{prefix}.googleapis.com"

    def options(self, prefix: str) -> "ClientOptions":
        """The options that send a client to the emulator, and else leave it as it is."""
        from google.api_core.client_options import ClientOptions

        if self.endpoint:
            return ClientOptions(api_endpoint=self.url(prefix))
        return ClientOptions()

    @once
    def session(self) -> "AuthorizedSession":
        """For the APIs that have no REST client of Google's."""
        from google.auth.transport.requests import AuthorizedSession
        from requests.adapters import HTTPAdapter

        session = AuthorizedSession(self.credentials)  # type: ignore[no-untyped-call]
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_connections=8, pool_maxsize=CONNECTIONS))
        return session

    @once
    def run_services(self) -> "run_v2.ServicesClient":
        """Cloud Run services."""
        from google.cloud import run_v2

        return run_v2.ServicesClient(
            credentials=self.credentials, transport="rest", client_options=self.options("run")
        )

    @once
    def run_revisions(self) -> "run_v2.RevisionsClient":
        """Cloud Run revisions."""
        from google.cloud import run_v2

        return run_v2.RevisionsClient(
            credentials=self.credentials, transport="rest", client_options=self.options("run")
        )

    @once
    def run_jobs(self) -> "run_v2.JobsClient":
        """Cloud Run jobs."""
        from google.cloud import run_v2

        return run_v2.JobsClient(
            credentials=self.credentials, transport="rest", client_options=self.options("run")
        )

    @once
    def run_executions(self) -> "run_v2.ExecutionsClient":
        """Executions of Cloud Run jobs."""
        from google.cloud import run_v2

        return run_v2.ExecutionsClient(
            credentials=self.credentials, transport="rest", client_options=self.options("run")
        )

    @once
    def builds(self) -> "cloudbuild_v1.CloudBuildClient":
        """Cloud Build: builds and triggers."""
        from google.cloud.devtools import cloudbuild_v1

        return cloudbuild_v1.CloudBuildClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("cloudbuild"),
        )

    @once
    def repositories_v2(self) -> "cloudbuild_v2.RepositoryManagerClient":
        """Cloud Build: connections and repositories."""
        from google.cloud.devtools import cloudbuild_v2

        return cloudbuild_v2.RepositoryManagerClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("cloudbuild"),
        )

    @once
    def secrets(self) -> "secretmanager_v1.SecretManagerServiceClient":
        """Secret Manager."""
        from google.cloud import secretmanager_v1

        return secretmanager_v1.SecretManagerServiceClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("secretmanager"),
        )

    @once
    def artifacts(self) -> "artifactregistry_v1.ArtifactRegistryClient":
        """Artifact Registry."""
        from google.cloud import artifactregistry_v1

        return artifactregistry_v1.ArtifactRegistryClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("artifactregistry"),
        )

    @once
    def services(self) -> "service_usage_v1.ServiceUsageClient":
        """Service Usage: which APIs are enabled."""
        from google.cloud import service_usage_v1

        return service_usage_v1.ServiceUsageClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("serviceusage"),
        )

    @once
    def projects(self) -> "resourcemanager_v3.ProjectsClient":
        """Resource Manager: the project and its policy."""
        from google.cloud import resourcemanager_v3

        return resourcemanager_v3.ProjectsClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("cloudresourcemanager"),
        )

    @once
    def sql_instances(self) -> "sqladmin_v1beta4.SqlInstancesServiceClient":
        """Cloud SQL instances."""
        from google.cloud import sqladmin_v1beta4

        return sqladmin_v1beta4.SqlInstancesServiceClient(
            credentials=self.credentials, transport="rest", client_options=self.options("sqladmin")
        )

    @once
    def sql_databases(self) -> "sqladmin_v1beta4.SqlDatabasesServiceClient":
        """Databases of Cloud SQL instances."""
        from google.cloud import sqladmin_v1beta4

        return sqladmin_v1beta4.SqlDatabasesServiceClient(
            credentials=self.credentials, transport="rest", client_options=self.options("sqladmin")
        )

    @once
    def sql_users(self) -> "sqladmin_v1beta4.SqlUsersServiceClient":
        """Users of Cloud SQL instances."""
        from google.cloud import sqladmin_v1beta4

        return sqladmin_v1beta4.SqlUsersServiceClient(
            credentials=self.credentials, transport="rest", client_options=self.options("sqladmin")
        )

    @once
    def sql_operations(self) -> "sqladmin_v1beta4.SqlOperationsServiceClient":
        """Cloud SQL's operations."""
        from google.cloud import sqladmin_v1beta4

        return sqladmin_v1beta4.SqlOperationsServiceClient(
            credentials=self.credentials, transport="rest", client_options=self.options("sqladmin")
        )

    @once
    def storage(self) -> "StorageClient":
        """Cloud Storage. Its own retries are left to it for reads alone."""
        from google.cloud.storage import Client

        client = Client(
            project=None,  # those of several services may be in several
            credentials=self.credentials,
            client_options=self.options("storage"),
        )
        client._http.mount("http://", self.session.get_adapter("http://localhost"))
        return client

    @once
    def logging(self) -> str:
        """Base URL of Cloud Logging, for `session`: `…/entries:list`."""
        return f"{self.url('logging')}/v2"


def bypass_proxies(endpoint: str) -> None:
    """Keeps calls to an emulator from a proxy that the environment names."""
    host = endpoint.rpartition(":")[0]
    for name in ("NO_PROXY", "no_proxy"):
        known = os.environ.get(name, "")
        if host not in known.split(","):
            os.environ[name] = ",".join(filter(None, (known, host)))
