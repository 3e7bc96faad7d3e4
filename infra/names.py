"""What everything is called: each name follows from the environment file, none is looked up."""

from dataclasses import dataclass

from infra.environment import Environment

PLACEHOLDER_IMAGE = "us-docker.pkg.dev/cloudrun/container/hello"
MANAGED_BY = "cookiecutter-cloudrun"


@dataclass(frozen=True)
class Names:
    """The names of a service's resources in one environment."""

    environment: Environment

    @property
    def project(self) -> str:
        """The project's id."""
        return self.environment.project

    @property
    def region(self) -> str:
        """The region."""
        return self.environment.region

    @property
    def name(self) -> str:
        """The service's short name."""
        return self.environment.service.name

    @property
    def location(self) -> str:
        """Parent of the regional resources."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def labels(self) -> dict[str, str]:
        """What marks a resource as ours."""
        return {
            "managed-by": MANAGED_BY,
            "service": self.name,
            "environment": self.environment.name,
        }

    @property
    def bucket(self) -> str:
        """The bucket the source is uploaded to."""
        return f"{self.project}-{self.name}-source"

    @property
    def repository(self) -> str:
        """The Artifact Registry repository, in full."""
        return f"{self.location}/repositories/{self.name}"

    @property
    def image(self) -> str:
        """The image, without tag or digest."""
        return f"{self.region}-docker.pkg.dev/{self.project}/{self.name}/{self.name}"

    def account(self, role: str) -> str:
        """Email of one of its service accounts: run, build or migrate."""
        return f"{self.name}-{role}@{self.project}.iam.gserviceaccount.com"

    @property
    def run_account(self) -> str:
        """Email of the account the service runs as."""
        return self.account("run")

    @property
    def build_account(self) -> str:
        """Email of the account that builds."""
        return self.account("build")

    @property
    def migrate_account(self) -> str:
        """Email of the account that migrates."""
        return self.account("migrate")

    @property
    def sql_instance(self) -> str:
        """Cloud SQL connection name: project:region:instance."""
        return f"{self.project}:{self.region}:{self.environment.database.instance}"

    @property
    def password_secret(self) -> str:
        """Short name of the secret with the database user's password."""
        return f"{self.name}-db-password"

    def secret(self, name: str) -> str:
        """A secret, in full."""
        return f"projects/{self.project}/secrets/{name}"

    @property
    def service(self) -> str:
        """The Cloud Run service, in full."""
        return f"{self.location}/services/{self.name}"

    @property
    def migrate_job_name(self) -> str:
        """Short name of the Cloud Run job that migrates."""
        return f"{self.name}-migrate"

    @property
    def migrate_job(self) -> str:
        """The Cloud Run job that migrates, in full."""
        return f"{self.location}/jobs/{self.migrate_job_name}"

    @property
    def dashboard(self) -> str:
        """The dashboard, in full; there is one where monitoring is declared."""
        return f"projects/{self.project}/dashboards/{self.name}"

    @property
    def trigger(self) -> str:
        """Short name of the Cloud Build trigger."""
        return self.name

    @property
    def checks_trigger(self) -> str:
        """Short name of the Cloud Build trigger that checks pull requests."""
        return f"{self.name}-checks"

    @property
    def connection(self) -> str:
        """The Cloud Build connection, in full; there is one where a trigger is declared."""
        trigger = self.environment.trigger
        return f"{self.location}/connections/{trigger.connection if trigger else ''}"

    @property
    def connected_repository(self) -> str:
        """The repository of the connection, in full."""
        trigger = self.environment.trigger
        name = trigger.repository.replace("/", "-").replace(".", "-") if trigger else ""
        return f"{self.connection}/repositories/{name}"
