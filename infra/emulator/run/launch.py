"""From a container in a template to a program to start: image, variables, secrets, databases.

Everything is looked up when an instance starts, as the account it runs as.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.cloud import run_v2

from infra.emulator import iam, projects
from infra.emulator.errors import GoogleError
from infra.emulator.machine import Machine
from infra.emulator.products.secretmanager import access
from infra.emulator.runtime import Launch, Probe, StartError
from infra.emulator.runtime.images import Image
from infra.emulator.runtime.metadata import Identity

EVERYWHERE = re.compile(r"(?<![\d.])0\.0\.0\.0(?![\d.])")
SOCKETS = "/cloudsql"


@dataclass(frozen=True)
class Owner:
    """Whose program it is: a revision or a job, `projects/P/locations/L/…` by name."""

    name: str
    account: str

    @property
    def project(self) -> str:
        """The id of its project."""
        return self.name.split("/")[1]

    @property
    def location(self) -> str:
        """Its region."""
        return self.name.split("/")[3]


class Launcher:
    """Prepares programs on a machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._world = machine.cloud.world

    def launch(
        self,
        owner: Owner,
        container: run_v2.Container,
        volumes: Iterable[run_v2.Volume],
        own: Mapping[str, str],
    ) -> Launch:
        """What to start; `own` are the variables Cloud Run itself sets. Raises StartError."""
        runtime = self._machine.runtime
        image = runtime.images.find(container.image)
        if image is None:
            raise StartError(f"Image '{container.image}' not found.", "CONTAINER_MISSING")
        root = runtime.images.root(image)
        sockets, troubles = self._sockets(owner, volumes)
        home = runtime.folder / "home"
        home.mkdir(exist_ok=True)
        given = {
            one.name: self._value(owner, index, one) for index, one in enumerate(container.env)
        }
        variables = {
            "HOME": str(home),
            **image.config.environment,
            **given,
            **own,
            **self._metadata(owner),
        }
        variables = {name: _local(value, sockets) for name, value in variables.items()}
        variables["PATH"] = _path(root, variables["PATH"])
        command = _command(container, image)
        if not command:
            raise StartError(f"Image '{container.image}' has no command to run.")
        folder = container.working_dir or image.config.folder
        place = root / folder.lstrip("/") if image.layer else home
        if not place.is_dir():
            raise StartError(f"The working directory {folder} does not exist in the image.")
        return Launch(
            tuple(_local(part, sockets) for part in command), place, variables, tuple(troubles)
        )

    def check_image(self, image: str) -> str:
        """The image by digest. Raises StartError."""
        pinned = self._machine.runtime.images.pinned(image)
        if pinned is None:
            raise StartError(f"Image '{image}' not found.", "CONTAINER_MISSING")
        return pinned

    def _value(self, owner: Owner, index: int, variable: run_v2.EnvVar) -> str:
        if "value_source" not in variable:
            return variable.value
        selector = variable.value_source.secret_key_ref
        name = selector.secret
        if not name.startswith("projects/"):
            name = f"projects/{owner.project}/secrets/{name}"
        _, project, rest = name.split("/", 2)
        found = projects.find(self._world, project)
        name = f"projects/{found.id}/{rest}"
        version = f"{name}/versions/{selector.version or 'latest'}"
        public = f"projects/{found.number}/{rest}/versions/{selector.version or 'latest'}"
        where = f"spec.template.spec.containers[0].env[{index}].value_from.secret_key_ref.name"
        if not iam.has_permission(
            self._world, iam.account(owner.account), "secretmanager.versions.access", name
        ):
            raise StartError(
                f"{where}: Permission denied on secret: {public} for Revision service account "
                f"{owner.account}. The service account used must be granted the 'Secret Manager "
                "Secret Accessor' role (roles/secretmanager.secretAccessor) at the secret, project "
                "or higher level.",
                "SECRETS_ACCESS_CHECK_FAILED",
            )
        try:
            return access(self._world, version).decode()
        except GoogleError as error:
            raise StartError(
                f"{where}: Secret {public} was not found: {error.message}"
                if error.status == "NOT_FOUND"
                else f"{where}: {error.message}",
                "SECRETS_ACCESS_CHECK_FAILED",
            ) from None
        except UnicodeDecodeError:
            raise StartError(
                f"{where}: Secret {public} is not UTF-8 and cannot be a variable.",
                "SECRETS_ACCESS_CHECK_FAILED",
            ) from None

    def _sockets(
        self, owner: Owner, volumes: Iterable[run_v2.Volume]
    ) -> tuple[dict[str, Path], list[str]]:
        """The folders of the databases it may connect to, and why not to others."""
        sockets: dict[str, Path] = {}
        troubles = []
        names = [name for one in volumes for name in one.cloud_sql_instance.instances]
        for connection in names:
            project, _, instance = connection.split(":")[-3:]
            resource = f"projects/{project}/instances/{instance}"
            allowed = iam.has_permission(
                self._world, iam.account(owner.account), "cloudsql.instances.connect", resource
            )
            folder = self._machine.runtime.databases.socket(connection)
            if allowed and folder:
                sockets[f"{SOCKETS}/{connection}"] = folder
                continue
            why = (
                "googleapi: Error 404: The Cloud SQL instance does not exist., instanceDoesNotExist"
                if allowed
                else "googleapi: Error 403: boss::NOT_AUTHORIZED: Not authorized to access "
                "resource. Possibly missing permission cloudsql.instances.connect on resource "
                f"instances/{instance}., forbidden"
            )
            troubles.append(
                "Cloud SQL connection failed. Please see "
                "https://cloud.google.com/sql/docs/mysql/connect-run for additional details: "
                f"ensure that the account {owner.account} has access to {connection!r} (and make "
                f"sure there's no typo in that name). Error during get instance: {why}"
            )
        return sockets, troubles

    def _metadata(self, owner: Owner) -> dict[str, str]:
        project = projects.find(self._world, owner.project)
        identity = Identity(project.id, project.number, owner.location, owner.account)
        return self._machine.runtime.metadata(identity)


def probe_of(probe: run_v2.Probe, port: int) -> Probe:
    """A probe as the runtime takes it; the container's own port is each instance's."""
    asked = probe.http_get.port if "http_get" in probe else probe.tcp_socket.port
    return Probe(
        kind="http" if "http_get" in probe else "tcp",
        path=probe.http_get.path or "/",
        port=None if asked in (0, port) else asked,
        headers={header.name: header.value for header in probe.http_get.http_headers},
        delay=probe.initial_delay_seconds,
        period=probe.period_seconds,
        timeout=probe.timeout_seconds,
        failures=probe.failure_threshold,
    )


def _command(container: run_v2.Container, image: Image) -> Sequence[str]:
    """Kubernetes' rules for command and args."""
    if container.command:
        return [*container.command, *container.args]
    return [*image.config.entrypoint, *(container.args or image.config.command)]


def _local(value: str, sockets: Mapping[str, Path]) -> str:
    """A value where this machine is meant by it, not a container: its addresses, its sockets."""
    for path, folder in sockets.items():
        value = value.replace(path, str(folder))
    return EVERYWHERE.sub("127.0.0.1", value)


def _path(root: Path, path: str) -> str:
    """PATH with the folders that the image has in it."""
    folders = [root / folder.lstrip("/") for folder in path.split(":")]
    pairs = zip(folders, path.split(":"), strict=True)
    return ":".join(str(inside) if inside.is_dir() else outside for inside, outside in pairs)
