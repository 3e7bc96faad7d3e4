"""ci/cloud-run.yaml and the environment → the Cloud Run service, and the job that migrates.

The file is Knative's, with the names its head documents written ${NAME}; secrets and config of the
environment become variables of its container, a variable of the same name being replaced. A field
or name we don't know is an error with its line.
"""

# ruff: noqa: PLC0415

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from infra.environment import Environment
from infra.knative import service
from infra.knative_reader import FieldError, Fields
from infra.names import Names
from infra.project import ProjectError
from infra.yaml_file import Value, Where, YamlError, YamlFile, resolve

if TYPE_CHECKING:
    from google.cloud import run_v2

FILE = "ci/cloud-run.yaml"
REFERENCE = re.compile(r"\$\{([^}]*)\}")
LATEST = "latest"
MIGRATE = ("alembic", "-c", "db/alembic.ini", "upgrade", "head")
MIGRATE_SECONDS = 1800


class ManifestError(ProjectError):
    """The manifest is wrong; the text names the file, the line and the field."""


@dataclass(frozen=True)
class Manifest:
    """The service's shape, in Knative's words, filled in for an environment."""

    environment: Environment
    knative: Fields

    @property
    def fields(self) -> Fields:
        """Cloud Run's Service as JSON: exactly what is declared, zeros included."""
        return {**service(self.knative), "name": Names(self.environment).service}

    @property
    def service(self) -> "run_v2.Service":
        """Cloud Run's Service. Its labels are those of the template and ours."""
        return to_service(self.fields)

    @property
    def text(self) -> str:
        """The manifest, as YAML."""
        import yaml

        return yaml.safe_dump(self.knative, sort_keys=False, allow_unicode=True)


def read(
    folder: Path,
    environment: Environment,
    *,
    image: str,
    versions: Mapping[str, str],
    partial: bool = False,
) -> Manifest:
    """The manifest of the service in `folder`. Raises ManifestError.

    `versions` has for each secret, by its short name, the number of the version to be read. A
    declared secret it lacks is an error, or with `partial` a variable that is left out.
    """
    return filled(read_file(folder), environment, image=image, versions=versions, partial=partial)


@dataclass(frozen=True)
class Manifests:
    """The manifest of the service in `folder`, for whichever versions of its secrets.

    What was read and filled in once is kept: the file is taken to stay as it is.
    """

    folder: Path
    environment: Environment
    image: str
    _file: list[YamlFile] = field(default_factory=list, compare=False, repr=False)
    _filled: dict[frozenset[tuple[str, str]], Manifest] = field(
        default_factory=dict, compare=False, repr=False
    )

    def manifest(self, versions: Mapping[str, str]) -> Manifest:
        """The manifest, without the variables of secrets that have no value yet.

        Raises ManifestError.
        """
        key = frozenset(versions.items())
        if key not in self._filled:
            if not self._file:
                self._file.append(read_file(self.folder))
            self._filled[key] = filled(
                self._file[0], self.environment, image=self.image, versions=versions, partial=True
            )
        return self._filled[key]


def read_file(folder: Path) -> YamlFile:
    """The file, as it is written. Raises ManifestError."""
    try:
        return YamlFile.read(folder / FILE)
    except OSError:
        raise ManifestError(f"{FILE}: there is no such file in {folder}") from None
    except YamlError as error:
        raise ManifestError(f"{FILE}:{error.line}: {error}") from None


def filled(
    file: YamlFile,
    environment: Environment,
    *,
    image: str,
    versions: Mapping[str, str],
    partial: bool,
) -> Manifest:
    """The manifest of a file, see `read`. Raises ManifestError."""
    names = Names(environment)
    given = {**values(environment), "IMAGE": image}
    given["DATABASE_SECRET_VERSION"] = versions.get(names.password_secret, LATEST)
    try:
        knative = fill(file, file.value, (), given)
        service(knative)  # raises for what we don't know
    except FieldError as error:
        raise ManifestError(say(file, error.where, str(error))) from None
    metadata = knative.get("metadata") if isinstance(knative, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(knative, dict) or name != names.name:
        wrong = f"must be ${{SERVICE}}, which is {names.name} (got {name!r})"
        raise ManifestError(say(file, ("metadata", "name"), wrong))
    label(knative, names.labels)
    replace_variables(knative, variables(environment, versions, partial=partial))
    return Manifest(environment, knative)


def render(
    folder: Path,
    environment: Environment,
    *,
    image: str,
    versions: Mapping[str, str],
    partial: bool = False,
) -> "run_v2.Service":
    """The Cloud Run service of an environment, see `read`. Raises ManifestError."""
    return read(folder, environment, image=image, versions=versions, partial=partial).service


def job_fields(manifest: Manifest, image: str) -> Fields:
    """The Cloud Run job that migrates, as JSON: the service's container, its database, no secret
    but the database's password, and a command of its own."""
    names = Names(manifest.environment)
    template = manifest.fields["template"]
    serving = serving_container(template)
    allowed = {names.password_secret}
    container: Fields = {
        "image": image,
        "command": [MIGRATE[0]],
        "args": list(MIGRATE[1:]),
        "env": [each for each in as_list(serving.get("env")) if secret_of(each) in {"", *allowed}],
        "resources": {"limits": as_fields(as_fields(serving["resources"])["limits"])},
    }
    mounts = [each for each in as_list(serving.get("volumeMounts")) if is_sql(each)]
    volumes = [each for each in as_list(as_fields(template).get("volumes")) if is_sql(each)]
    if mounts:
        container["volumeMounts"] = list(mounts)
    return {
        "name": names.migrate_job,
        "labels": dict(names.labels),
        "template": {
            "taskCount": 1,
            "parallelism": 1,
            "template": {
                "containers": [container],
                "volumes": list(volumes),
                "maxRetries": 0,
                "timeout": f"{MIGRATE_SECONDS}s",
                "serviceAccount": names.migrate_account,
                "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
            },
        },
    }


def job(manifest: Manifest, image: str) -> "run_v2.Job":
    """The Cloud Run job that migrates."""
    return to_job(job_fields(manifest, image))


def to_service(fields: Fields, *, unknown: bool = False) -> "run_v2.Service":
    """Cloud Run's message of its JSON; `unknown`: fields that the client does not know are left
    out."""
    from google.cloud import run_v2

    text = json.dumps(fields)
    message: run_v2.Service = run_v2.Service.from_json(text, ignore_unknown_fields=unknown)
    return message


def to_job(fields: Fields, *, unknown: bool = False) -> "run_v2.Job":
    """Like `to_service`, of a job."""
    from google.cloud import run_v2

    text = json.dumps(fields)
    message: run_v2.Job = run_v2.Job.from_json(text, ignore_unknown_fields=unknown)
    return message


def values(environment: Environment) -> dict[str, str]:
    """What the names in the manifest stand for, but for those of a release."""
    names, shape = Names(environment), environment.service
    return {
        "SERVICE": names.name,
        "PROJECT": names.project,
        "ENVIRONMENT": environment.name,
        "INGRESS": shape.ingress,
        "RUN_ACCOUNT": names.run_account,
        "CPU": shape.cpu,
        "MEMORY": shape.memory,
        "CONCURRENCY": str(shape.concurrency),
        "TIMEOUT": str(shape.timeout),
        "MIN_INSTANCES": str(shape.min_instances),
        "MAX_INSTANCES": str(shape.max_instances),
        "DATABASE_INSTANCE": names.sql_instance,
        "DATABASE_NAME": environment.database.name,
        "DATABASE_USER": environment.database.user,
        "DATABASE_SECRET": names.password_secret,
    }


def fill(file: YamlFile, value: Value, where: Where, given: Mapping[str, str]) -> Value:
    """The value with its names filled in."""
    if isinstance(value, dict):
        return {key: fill(file, each, (*where, key), given) for key, each in value.items()}
    if isinstance(value, list):
        return [fill(file, each, (*where, index), given) for index, each in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    for name in REFERENCE.findall(value):
        if name not in given:
            near = get_close_matches(name, given, 1)
            hint = f"did you mean ${{{near[0]}}}?" if near else f"there are {', '.join(given)}"
            raise FieldError(where, f"there is no ${{{name}}}: {hint}")
    filled = REFERENCE.sub(lambda match: given[match[1]], value)
    return resolve(filled) if where in file.plain else filled


def variables(
    environment: Environment, versions: Mapping[str, str], *, partial: bool
) -> Iterator[Fields]:
    """The variables of the environment file, as Knative has them."""
    for name, value in environment.config.items():
        yield {"name": name, "value": value}
    for name, secret in environment.secrets.items():
        if secret in versions:
            reference: Fields = {"name": secret, "key": versions[secret]}
            yield {"name": name, "valueFrom": {"secretKeyRef": reference}}
        elif not partial:
            raise ManifestError(
                f"the secret {secret} ({name}) has no value yet: set it with\n"
                f"    invoke secret set {secret} --env {environment.name}"
            )


def replace_variables(knative: Fields, new: Iterator[Fields]) -> None:
    """Gives the container that serves the variables, instead of those of the same names."""
    spec = as_fields(as_fields(as_fields(knative["spec"])["template"])["spec"])
    serving = serving_container(spec)
    added = list(new)
    replaced = {each["name"] for each in added}
    kept = [each for each in as_list(serving.get("env")) if each.get("name") not in replaced]
    serving["env"] = [*kept, *added]


def label(knative: Fields, labels: Mapping[str, str]) -> None:
    """Marks the service as ours."""
    metadata = as_fields(knative["metadata"])
    metadata["labels"] = {**as_fields(metadata.get("labels") or {}), **labels}


def serving_container(spec: Value) -> Fields:
    """The container that gets the requests."""
    containers = as_list(as_fields(spec)["containers"])
    return next((each for each in containers if "ports" in each), containers[0])


def secret_of(variable: Fields) -> str:
    """The secret a variable is read from, "" when it is a plain value."""
    source = variable.get("valueSource")
    return str(as_fields(as_fields(source)["secretKeyRef"])["secret"]) if source else ""


def is_sql(volume: Fields) -> bool:
    """Whether a volume, or a mount of it, is Cloud SQL's."""
    return volume.get("name") == "cloudsql"


def as_fields(value: Value) -> Fields:
    """A value that is a mapping."""
    if not isinstance(value, dict):
        raise TypeError(f"not a mapping: {value!r}")
    return value


def as_list(value: Value) -> list[Fields]:
    """A value that is a list of mappings."""
    return [as_fields(each) for each in value] if isinstance(value, list) else []


def say(file: YamlFile, where: Where, text: str) -> str:
    """An error with its line and field."""
    field = ".".join(str(part) for part in where)
    return f"{FILE}:{file.line(where)}: {field}: {text}"
