"""Google's clients, each built when it is first used: credentials, impersonation, endpoints.

Importing this module imports none of Google's libraries; asking for a client imports its own.
"""

# ruff: noqa: PLC0415

import os
from functools import cached_property
from typing import TYPE_CHECKING

from infra.environment import Environment
from infra.names import Names
from infra.project import ProjectError
from infra.rest import Bearer, ConnectionLost, CredentialsLogin, Login, Request, Rest, RestError

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

EMULATOR = "CLOUD_EMULATOR_HOST"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
CONNECTIONS = 32
LOCAL_TOKEN = "local"  # noqa: S105


class CredentialsError(ProjectError):
    """There are no credentials, or they are no longer good; the text says how to log in."""


class Cloud:
    """The clients an environment's resources are reached with.

    `endpoint`, HOST:PORT, sends every call to an emulator; so does CLOUD_EMULATOR_HOST.
    Google's clients are thread-safe, and so is this.
    """

    def __init__(self, environment: Environment, endpoint: str | None = None) -> None:
        self.environment = environment
        self.names = Names(environment)
        self.endpoint = endpoint or os.environ.get(EMULATOR) or None
        if self.endpoint:
            bypass_proxies(self.endpoint)

    @property
    def is_emulated(self) -> bool:
        """Whether calls go to an emulator."""
        return self.endpoint is not None

    def connect(self) -> None:
        """Checks that there is somebody to talk to, as somebody. Raises ProjectError."""
        if self.endpoint:
            check_emulator(self.rest, self.endpoint)
        self.rest.connect()

    @cached_property
    def rest(self) -> Rest:
        """Reads, without any of Google's libraries but those that know who we are."""
        return Rest(self.url, self._login, direct=self.is_emulated)

    def _login(self, pool: "PoolManager") -> Login:
        if self.endpoint and self.environment.impersonate is None:
            return Bearer(LOCAL_TOKEN)
        return CredentialsLogin(self.credentials, pool)

    @cached_property
    def credentials(self) -> "Credentials":
        """Application default credentials, or the account's we act as. Raises CredentialsError."""
        import google.auth
        from google.auth import impersonated_credentials
        from google.auth.exceptions import DefaultCredentialsError
        from google.oauth2.credentials import Credentials as Token

        source: Credentials
        account = self.environment.impersonate
        try:
            if self.endpoint:
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

    @cached_property
    def session(self) -> "AuthorizedSession":
        """For the APIs that have no REST client of Google's."""
        from google.auth.transport.requests import AuthorizedSession
        from requests.adapters import HTTPAdapter

        session = AuthorizedSession(self.credentials)  # type: ignore[no-untyped-call]
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_connections=8, pool_maxsize=CONNECTIONS))
        return session

    @cached_property
    def run_services(self) -> "run_v2.ServicesClient":
        """Cloud Run services."""
        from google.cloud import run_v2

        return run_v2.ServicesClient(
            credentials=self.credentials, transport="rest", client_options=self.options("run")
        )

    @cached_property
    def run_revisions(self) -> "run_v2.RevisionsClient":
        """Cloud Run revisions."""
        from google.cloud import run_v2

        return run_v2.RevisionsClient(
            credentials=self.credentials, transport="rest", client_options=self.options("run")
        )

    @cached_property
    def run_jobs(self) -> "run_v2.JobsClient":
        """Cloud Run jobs."""
        from google.cloud import run_v2

        return run_v2.JobsClient(
            credentials=self.credentials, transport="rest", client_options=self.options("run")
        )

    @cached_property
    def run_executions(self) -> "run_v2.ExecutionsClient":
        """Executions of Cloud Run jobs."""
        from google.cloud import run_v2

        return run_v2.ExecutionsClient(
            credentials=self.credentials, transport="rest", client_options=self.options("run")
        )

    @cached_property
    def builds(self) -> "cloudbuild_v1.CloudBuildClient":
        """Cloud Build: builds and triggers."""
        from google.cloud.devtools import cloudbuild_v1

        return cloudbuild_v1.CloudBuildClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("cloudbuild"),
        )

    @cached_property
    def repositories_v2(self) -> "cloudbuild_v2.RepositoryManagerClient":
        """Cloud Build: connections and repositories."""
        from google.cloud.devtools import cloudbuild_v2

        return cloudbuild_v2.RepositoryManagerClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("cloudbuild"),
        )

    @cached_property
    def secrets(self) -> "secretmanager_v1.SecretManagerServiceClient":
        """Secret Manager."""
        from google.cloud import secretmanager_v1

        return secretmanager_v1.SecretManagerServiceClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("secretmanager"),
        )

    @cached_property
    def artifacts(self) -> "artifactregistry_v1.ArtifactRegistryClient":
        """Artifact Registry."""
        from google.cloud import artifactregistry_v1

        return artifactregistry_v1.ArtifactRegistryClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("artifactregistry"),
        )

    @cached_property
    def services(self) -> "service_usage_v1.ServiceUsageClient":
        """Service Usage: which APIs are enabled."""
        from google.cloud import service_usage_v1

        return service_usage_v1.ServiceUsageClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("serviceusage"),
        )

    @cached_property
    def projects(self) -> "resourcemanager_v3.ProjectsClient":
        """Resource Manager: the project and its policy."""
        from google.cloud import resourcemanager_v3

        return resourcemanager_v3.ProjectsClient(
            credentials=self.credentials,
            transport="rest",
            client_options=self.options("cloudresourcemanager"),
        )

    @cached_property
    def sql_instances(self) -> "sqladmin_v1beta4.SqlInstancesServiceClient":
        """Cloud SQL instances."""
        from google.cloud import sqladmin_v1beta4

        return sqladmin_v1beta4.SqlInstancesServiceClient(
            credentials=self.credentials, transport="rest", client_options=self.options("sqladmin")
        )

    @cached_property
    def sql_databases(self) -> "sqladmin_v1beta4.SqlDatabasesServiceClient":
        """Databases of Cloud SQL instances."""
        from google.cloud import sqladmin_v1beta4

        return sqladmin_v1beta4.SqlDatabasesServiceClient(
            credentials=self.credentials, transport="rest", client_options=self.options("sqladmin")
        )

    @cached_property
    def sql_users(self) -> "sqladmin_v1beta4.SqlUsersServiceClient":
        """Users of Cloud SQL instances."""
        from google.cloud import sqladmin_v1beta4

        return sqladmin_v1beta4.SqlUsersServiceClient(
            credentials=self.credentials, transport="rest", client_options=self.options("sqladmin")
        )

    @cached_property
    def sql_operations(self) -> "sqladmin_v1beta4.SqlOperationsServiceClient":
        """Cloud SQL's operations."""
        from google.cloud import sqladmin_v1beta4

        return sqladmin_v1beta4.SqlOperationsServiceClient(
            credentials=self.credentials, transport="rest", client_options=self.options("sqladmin")
        )

    @cached_property
    def storage(self) -> "StorageClient":
        """Cloud Storage. Its own retries are left to it for reads alone."""
        from google.cloud.storage import Client

        client = Client(
            project=self.environment.project,
            credentials=self.credentials,
            client_options=self.options("storage"),
        )
        client._http.mount("http://", self.session.get_adapter("http://localhost"))
        return client

    @cached_property
    def logging(self) -> str:
        """Base URL of Cloud Logging, for `session`: `…/entries:list`."""
        return f"{self.url('logging')}/v2"


LOG_IN = (
    "there are no Google credentials. Log in with\n"
    "    gcloud auth application-default login\n"
    "or name a key's file in GOOGLE_APPLICATION_CREDENTIALS. "
    "The environment local needs none: --env local"
)


def bypass_proxies(endpoint: str) -> None:
    """Keeps calls to an emulator from a proxy that the environment names."""
    host = endpoint.rpartition(":")[0]
    for name in ("NO_PROXY", "no_proxy"):
        known = os.environ.get(name, "")
        if host not in known.split(","):
            os.environ[name] = ",".join(filter(None, (known, host)))


def check_emulator(rest: Rest, endpoint: str) -> None:
    """Raises ProjectError when no emulator answers at HOST:PORT."""
    try:
        answer = rest.fetch(Request("", ""))
        if isinstance(answer, dict) and "emulator" in str(answer.get("name")):
            return
        why = "something else answers there"
    except (RestError, ConnectionLost) as error:
        why = str(error)
    raise ProjectError(
        f"no emulator answers at {endpoint} ({why}). Start it with invoke emulator.start, "
        f"and unset {EMULATOR} to talk to Google itself"
    )
