"""environments/<name>.yaml, read and checked whole: what a service needs in one environment.

Every error names its file, line and field, and what would be right. It talks to nobody.
"""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from infra.environment_faults import explain
from infra.environment_fields import (
    AccountEmail,
    Channel,
    Cpu,
    Member,
    Memory,
    ProjectId,
    Region,
    SecretName,
    Section,
    ServiceName,
    SqlName,
    Text,
    Variable,
    fault,
    matching,
)
from infra.environment_release import Release
from infra.project import ProjectError
from infra.yaml_file import Value, Where, YamlError, YamlFile

FOLDER = "environments"
LOCAL = "local"
# Memory an instance may have, in MiB, by its CPUs: at least, at most.
# https://cloud.google.com/run/docs/configuring/services/memory-limits
MEMORY_OF_CPUS = {
    1: (128, 4096),
    2: (128, 8192),
    4: (2048, 16384),
    6: (4096, 24576),
    8: (4096, 32768),
}
# What follows from other fields is not at fault where it was not written.
DERIVED: set[Where] = {("database", "instance"), ("database", "name"), ("database", "user")}


class EnvironmentFileError(ProjectError):
    """The environment is unknown or its file is wrong: one line for each fault."""


class Service(Section):
    """The service's shape on Cloud Run."""

    name: ServiceName = Field(
        description="Name of the service, and the first part of the name of all it owns."
    )
    cpu: Cpu = Field(
        default="1", description="vCPUs of an instance: 1, 2, 4, 6, 8, or a part of one."
    )
    memory: Memory = Field(
        default="512Mi", description="Memory of an instance, such as 512Mi or 2Gi."
    )
    concurrency: int = Field(
        default=80, ge=1, le=1000, description="Requests an instance serves at the same time."
    )
    min_instances: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Instances kept warm; with 0 it sleeps when nobody calls.",
    )
    max_instances: int = Field(default=10, ge=1, le=1000, description="Instances at most.")
    timeout: int = Field(default=300, ge=1, le=3600, description="Seconds a request may take.")
    ingress: Literal["all", "internal", "internal-and-cloud-load-balancing"] = Field(
        default="all", description="The networks it can be reached from, whoever may call it."
    )
    invokers: list[Member] = Field(
        default=[],
        description="Who may call it, as IAM members; [allUsers] makes it public, and only that: "
        "a grant to the public that is not here is taken back. Other grants are left alone.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.min_instances > self.max_instances:
            raise fault(
                "must not be above max_instances (got {low}, and {high})",
                at="min_instances",
                low=self.min_instances,
                high=self.max_instances,
            )
        amount, unit = int(self.memory[:-2]), self.memory[-2:]
        mebibytes = amount * (1024 if unit == "Gi" else 1)
        if self.cpu.startswith("0."):
            if float(self.cpu) < 0.08:
                raise fault("must be at least 0.08 (got {cpu})", at="cpu", cpu=self.cpu)
            if self.concurrency != 1:
                raise fault("less than 1 cpu needs concurrency: 1", at="cpu")
            low, high = 128, 512 if float(self.cpu) < 0.5 else 1024
        else:
            low, high = MEMORY_OF_CPUS[int(self.cpu)]
        if not low <= mebibytes <= high:
            raise fault(
                "must be between {low}Mi and {high}Mi with {cpu} cpu (got {memory})",
                at="memory",
                low=low,
                high=high,
                cpu=self.cpu,
                memory=self.memory,
            )
        return self


class Database(Section):
    """Its PostgreSQL on Cloud SQL."""

    instance: Annotated[
        str,
        matching(
            r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?",
            "lowercase letters, digits and hyphens, beginning with a letter, at most 63",
        ),
    ] = Field(
        default="",
        description="Name of the instance.",
        json_schema_extra={"default": "the service"},
    )
    name: SqlName = Field(
        default="",
        description="Name of the database.",
        json_schema_extra={"default": "the service, with _ for -"},
    )
    user: SqlName = Field(
        default="",
        description="The database user the service logs in as.",
        json_schema_extra={"default": "the database's name"},
    )
    version: Annotated[str, matching(r"POSTGRES_(1[4-9]|[2-9][0-9])", "like POSTGRES_17")] = Field(
        default="POSTGRES_17", description="PostgreSQL's version, from POSTGRES_14 on."
    )
    edition: Literal["ENTERPRISE", "ENTERPRISE_PLUS"] = Field(
        default="ENTERPRISE", description="Cloud SQL's edition."
    )
    tier: Annotated[
        str,
        matching(
            r"db-f1-micro|db-g1-small|db-custom-[0-9]+-[0-9]+|db-perf-optimized-N-[0-9]+"
            r"|db-c4a-highmem-[0-9]+(-lssd)?|db-n1-(standard|highmem)-[0-9]+",
            "a machine type like db-g1-small, db-custom-2-7680 or db-perf-optimized-N-2",
        ),
    ] = Field(
        default="db-g1-small", description="Machine type: db-custom-CPUS-MEGABYTES, for example."
    )
    availability: Literal["ZONAL", "REGIONAL"] = Field(
        default="ZONAL", description="ZONAL: one zone. REGIONAL: with a standby in a second one."
    )
    deletion_protection: bool = Field(
        default=True,
        description="Whether the instance can't be deleted, by invoke destroy or otherwise.",
        json_schema_extra={"default": "true, and false in local"},
    )
    backups: bool = Field(
        default=True, description="Daily backups, and recovery to any minute of the last 7 days."
    )
    flags: dict[str, Text] = Field(
        default={},
        description="Cloud SQL's database flags, such as log_min_duration_statement: 500.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.availability == "REGIONAL" and not self.backups:
            raise fault("REGIONAL needs backups: true", at="availability")
        is_plus = self.tier.startswith(("db-perf-optimized", "db-c4a"))
        if self.edition == "ENTERPRISE_PLUS" and not is_plus:
            raise fault("ENTERPRISE_PLUS needs a tier like db-perf-optimized-N-2", at="edition")
        if self.edition == "ENTERPRISE" and self.tier.startswith("db-perf-optimized"):
            raise fault("{tier} needs edition: ENTERPRISE_PLUS", at="tier", tier=self.tier)
        return self


class Trigger(Section):
    """The Cloud Build triggers that build what is pushed, and check what is asked to be merged."""

    repository: Annotated[
        str,
        matching(r"[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+", "OWNER/NAME, as on GitHub"),
    ] = Field(description="The repository on GitHub: owner/name.")
    connection: Annotated[
        str, matching(r"[A-Za-z][A-Za-z0-9_-]{0,62}", "letters, digits and hyphens")
    ] = Field(description="The Cloud Build connection to GitHub, in this region.")
    branch: Text | None = Field(
        default=None, description="Branches that are built, a regular expression; this or tag."
    )
    tag: Text | None = Field(
        default=None, description="Tags that are built, a regular expression; this or branch."
    )
    deploy: bool = Field(
        default=False,
        description="Whether what is pushed is released too: the account that builds may then.",
    )
    checks: bool = Field(
        default=False,
        description="Whether a trigger on pull requests runs ci/cloud-build-checks.yaml, as an "
        "account that may read the environment's configuration and nothing else.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.branch is None) == (self.tag is None):
            raise fault("needs either branch or tag, and not both")
        for field, pattern in (("branch", self.branch), ("tag", self.tag)):
            try:
                re.compile(pattern or "")
            except re.error as error:
                message = "no regular expression: {error}"
                raise fault(message, at=field, error=str(error)) from None
        return self


class Monitoring(Section):
    """Its dashboard, and the alerts on its errors and its latency."""

    error_ratio: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Part of the requests of five minutes above which failures (5xx) alert.",
    )
    latency_ms: int = Field(
        default=1000,
        ge=1,
        le=3_600_000,
        description="Milliseconds above which the slowest of a hundred requests alerts.",
    )
    notify: list[Channel] = Field(
        default=[],
        description="Whom the alerts tell: notification channels, by number or in full. Without "
        "any, those that somebody adds to an alert by hand stay.",
    )


class Environment(Section):
    """One service in one environment."""

    name: str = Field(description="The file's name.", json_schema_extra={"file": True})
    project: ProjectId = Field(description="Id of the Google Cloud project.")
    region: Region = Field(description="Region of everything that has one.")
    impersonate: AccountEmail | None = Field(
        default=None,
        description="Service account to act as; you need roles/iam.serviceAccountTokenCreator "
        "on it.",
    )
    service: Service = Field(description="The service's shape on Cloud Run.")
    database: Database = Field(default=Database(), description="Its PostgreSQL on Cloud SQL.")
    secrets: dict[Variable, SecretName] = Field(
        default={}, description="Environment variable: secret of Secret Manager it is read from."
    )
    config: dict[Variable, str] = Field(
        default={}, description="Environment variable: value, for what is no secret."
    )
    trigger: Trigger | None = Field(
        default=None, description="The Cloud Build trigger that builds what is pushed."
    )
    release: Release = Field(default=Release(), description="How a new revision gets its traffic.")
    monitoring: Monitoring | None = Field(
        default=None,
        description="Its dashboard, and the alerts on its errors and its latency; {} for the "
        "defaults.",
    )

    @model_validator(mode="before")
    @classmethod
    def _name_the_database(cls, given: object) -> object:
        """The database's names follow from the service's."""
        if not isinstance(given, dict):
            return given
        service, database = given.get("service"), given.get("database", {})
        name = service.get("name") if isinstance(service, dict) else None
        if not isinstance(name, str) or not isinstance(database, dict):
            return given
        underscored = database.get("name", name.replace("-", "_"))
        names = {
            "instance": name,
            "name": underscored,
            "user": underscored,
            "deletion_protection": given.get("name") != LOCAL,
        }
        return {**given, "database": {**names, **database}}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        both = sorted(self.secrets.keys() & self.config.keys())
        if both:
            raise fault("{names} is in config too", at="secrets", names=", ".join(both))
        if f"{self.service.name}-db-password" in self.secrets.values():
            raise fault(
                "{name} is the database's password, which is given as DATABASE__PASSWORD",
                at="secrets",
                name=f"{self.service.name}-db-password",
            )
        return self

    @property
    def is_local(self) -> bool:
        """Whether it is the emulator on this machine."""
        return self.name == LOCAL


def load(folder: Path, name: str) -> Environment:
    """The environment of the service in `folder`. Raises EnvironmentFileError."""
    path = folder / FOLDER / f"{name}.yaml"
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or not path.is_file():
        raise EnvironmentFileError(unknown_environment(folder, name))
    shown = path.relative_to(folder)
    try:
        file = YamlFile.read(path)
    except YamlError as error:
        raise EnvironmentFileError(f"{shown}:{error.line}: {error}") from None
    if not isinstance(file.value, dict):
        raise EnvironmentFileError(f"{shown}:1: must hold fields, such as project: and region:")
    values: dict[str, Value] = {
        key: value for key, value in file.value.items() if value is not None
    }
    faults: list[tuple[Where, str]] = []
    if "name" in values:
        faults.append((("name",), "is the file's name, and not a field"))
    scalars_as_text(file, values, ("config",))
    scalars_as_text(file, values, ("database", "flags"))
    try:
        environment = Environment.model_validate({**values, "name": name})
    except ValidationError as error:
        found = [explain(each, Environment) for each in error.errors()]
        faults += [each for each in found if each[0] not in DERIVED - file.lines.keys()] or found
    if faults:
        lines = sorted({(file.line(where), where, text) for where, text in faults}, key=order)
        raise EnvironmentFileError("\n".join(at_line(shown, *line) for line in lines))
    return environment


def order(line: tuple[int, Where, str]) -> tuple[int, str]:
    """Faults in the order of the file."""
    return line[0], str(line[1])


def at_line(path: Path, line: int, where: Where, text: str) -> str:
    """One fault in one line."""
    field = ".".join(str(part) for part in where)
    return f"{path}:{line}: {field}: {text}" if field else f"{path}:{line}: {text}"


def names(folder: Path) -> list[str]:
    """The environments the service has."""
    return sorted(path.stem for path in (folder / FOLDER).glob("*.yaml"))


def unknown_environment(folder: Path, name: str) -> str:
    """What to say about an environment that has no file."""
    known = names(folder)
    if not known:
        return f"there is no environment {name!r}: {folder} has no {FOLDER}/*.yaml"
    near = get_close_matches(name, known, 1)
    hint = f": did you mean {near[0]}?" if near else "."
    return f"there is no environment {name!r}{hint} There are: {', '.join(known)} ({FOLDER}/)"


def scalars_as_text(file: YamlFile, values: dict[str, Value], where: tuple[str, ...]) -> None:
    """Makes text of what a mapping holds, as it was written: 1.10 stays 1.10, and true is true."""
    for part in where[:-1]:
        inner = values.get(part)
        if not isinstance(inner, dict):
            return
        inner = dict(inner)
        values[part] = inner
        values = inner
    mapping = values.get(where[-1])
    if isinstance(mapping, dict):
        values[where[-1]] = {
            key: written(file, (*where, key), value) for key, value in mapping.items()
        }


def written(file: YamlFile, where: Where, value: Value) -> Value:
    """A scalar's text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return file.texts[where]
    return value
