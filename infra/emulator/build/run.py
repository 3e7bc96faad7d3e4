"""One build: its source unpacked, its steps one after the other, its images pushed.

It runs as its service account, which must be able to read the source and to push the images.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from google.cloud.devtools import cloudbuild_v1 as cb

from infra.emulator import errors, iam, operations, projects
from infra.emulator.build import remotes, source
from infra.emulator.build.documents import (
    CANCELLED,
    FAILURE,
    LEGACY,
    STOPPED,
    SUCCESS,
    TIMEOUT,
    account_of,
    put,
)
from infra.emulator.errors import GoogleError
from infra.emulator.machine import Machine
from infra.emulator.products.cloudbuild_connections import find_repository
from infra.emulator.products.secretmanager import access
from infra.emulator.runtime import Origin
from infra.emulator.runtime.builder import Builder, Step
from infra.emulator.runtime.dockerplan import BuildError
from infra.emulator.runtime.images import Image, Reference
from infra.emulator.runtime.metadata import Identity
from infra.emulator.runtime.processes import Stream
from infra.emulator.runtime.stops import Stop
from infra.emulator.world import World

# What leads the engine to an emulator, whatever the environment.
EMULATOR = "CLOUD_EMULATOR_HOST"
# Artifact Registry's documents.
REPOSITORIES = "repositories"
_STATUS = cb.Build.Status
_FAILURE = cb.Build.FailureInfo.FailureType
WORKING = _STATUS.WORKING


class _Failed(Exception):
    """The build cannot go on."""

    def __init__(self, kind: int, detail: str, status: int = FAILURE):
        super().__init__(detail)
        self.kind = _FAILURE(kind)
        self.detail = detail
        self.status = _STATUS(status)


class Run:
    """One build under way."""

    def __init__(
        self, machine: Machine, build: cb.Build, operation: str, folder: Path, stop: Stop
    ) -> None:
        self.build = build
        self.world: World = machine.cloud.world
        self.runtime = machine.runtime
        self.host = machine.cloud.host
        self.operation = operation
        self.folder = folder
        self.stop = Stop(build.timeout.total_seconds(), stop)
        project = build.project_id
        self.account = account_of(build)
        labels = {"project_id": project, "build_id": build.id}
        self.origin = Origin(
            project, "build", {**labels, "build_trigger_id": build.build_trigger_id}
        )
        self.may_log = self.account.email.endswith(LEGACY) or iam.has_permission(
            self.world, self.account, "logging.logEntries.create", f"projects/{project}"
        )

    def carry_out(self) -> cb.Build:
        """Runs it. Raises GoogleError when it does not succeed."""
        build = self.build
        workspace = self.folder / "workspace"
        workspace.mkdir(parents=True)
        build.start_time = self.world.now()
        if not self.may_log:
            text = (
                "The service account running this build does not have permission to write logs to "
                "Cloud Logging. To fix this, grant the Logs Writer (roles/logging.logWriter) role "
                "to the service account."
            )
            alert = cb.Build.Warning.Priority.ALERT
            build.warnings = [cb.Build.Warning(text=text, priority=alert)]
        self._save(WORKING)
        failure: _Failed | None = None
        try:
            self._work(workspace)
        except _Failed as error:
            failure = error
        except Exception as error:
            self._break(error)
            raise
        finally:
            shutil.rmtree(workspace, ignore_errors=True)
            shutil.rmtree(self.folder / "home", ignore_errors=True)
        return self._end(failure)

    def _work(self, workspace: Path) -> None:
        self._say(f'starting build "{self.build.id}"')
        if self.build.source.storage_source.bucket:
            self._say("FETCHSOURCE")
            try:
                source.unpack(
                    self.world,
                    self.build.source_provenance.resolved_storage_source,
                    workspace,
                )
            except (OSError, ValueError) as error:
                raise _Failed(_FAILURE.FETCH_SOURCE_FAILED, str(error)) from error
        if connected := self.build.source.connected_repository.repository:
            self._say("FETCHSOURCE")
            self._check_out(connected, workspace)
        self._say("BUILD")
        builder = Builder(workspace, self.runtime.images, self.runtime.image_builder, self._program)
        for number in range(len(self.build.steps)):
            self._step(builder, number)
        self._push(builder)
        self._say("DONE")

    def _check_out(self, repository: str, workspace: Path) -> None:
        try:
            uri = find_repository(self.world, repository).remote_uri
            commit = self.build.source.connected_repository.revision
            remotes.check_out(remotes.find(self.world, uri), commit, workspace)
        except (GoogleError, ValueError) as error:
            raise _Failed(_FAILURE.FETCH_SOURCE_FAILED, str(error)) from error

    def _step(self, builder: Builder, number: int) -> None:
        step = self.build.steps[number]
        name = f'Step #{number} - "{step.id}"' if step.id else f"Step #{number}"
        self._say(f"Starting {name}")
        step.timing.start_time = self.world.now()
        step.status = _STATUS(WORKING)
        self._save(WORKING)
        environment = dict(
            text.partition("=")[::2] for text in (*self.build.options.env, *step.env)
        )
        if self.build.options.automap_substitutions or step.automap_substitutions:
            environment |= dict(self.build.substitutions)
        asked = Step(
            step.name,
            step.entrypoint,
            tuple(step.args),
            step.dir_,
            # Google's libraries in a step act as the build's account, not as who is logged in.
            self._surroundings() | environment | self._secrets(step),
            step.script,
        )
        whole = self.stop
        if step.timeout:
            self.stop = Stop(step.timeout.total_seconds(), whole)

        def say(line: str) -> None:
            self._say(f"{name}: {line}", name)

        try:
            code = builder.run(asked, say, self._push_one)
            late = self.stop.late
        finally:
            self.stop = whole
        step.timing.end_time = self.world.now()
        step.exit_code = code
        self._say(f"Finished {name}")
        what = f'build step {number} "{step.name}" failed'
        if self.stop.told:
            step.status = _STATUS(CANCELLED)
            raise _Failed(_FAILURE.FAILURE_TYPE_UNSPECIFIED, "build cancelled", CANCELLED)
        if late:
            step.status = _STATUS(TIMEOUT)
            status = TIMEOUT if self.stop.late else FAILURE
            raise _Failed(_FAILURE.USER_BUILD_STEP, f"{what}: context deadline exceeded", status)
        if code and not (step.allow_failure or code in step.allow_exit_codes):
            step.status = _STATUS(FAILURE)
            raise _Failed(
                _FAILURE.USER_BUILD_STEP,
                f"{what}: step exited with non-zero status: {code}",
            )
        step.status = _STATUS(FAILURE if code else SUCCESS)
        self._save(WORKING)

    def _surroundings(self) -> dict[str, str]:
        """What leads a step to this cloud, as its account."""
        return {EMULATOR: self.host, **self.runtime.metadata(self._identity())}

    def _identity(self) -> Identity:
        project = projects.find(self.world, self.build.project_id)
        location = self.build.name.split("/")[3]
        return Identity(project.id, project.number, location, self.account.email)

    def _secrets(self, step: cb.BuildStep) -> dict[str, str]:
        known = {one.env: one.version_name for one in self.build.available_secrets.secret_manager}
        found = {}
        for name in step.secret_env:
            version = known.get(name, "")
            secret = version.partition("/versions/")[0]
            try:
                if not self.account.email.endswith(LEGACY):
                    iam.require(self.world, self.account, "secretmanager.versions.access", secret)
                found[name] = access(self.world, version).decode()
            except GoogleError as error:
                raise _Failed(
                    _FAILURE.USER_BUILD_STEP,
                    f"failed to access secret version for secret {version}: {error.message}",
                ) from error
        return found

    def _push(self, builder: Builder) -> None:
        missing = [name for name in self.build.images if name not in builder.made]
        if missing:
            raise _Failed(
                _FAILURE.PUSH_IMAGE_NOT_FOUND,
                f"failed to find one or more images after execution of build steps: {missing}",
            )
        if self.build.images:
            self._say("PUSH")
        for name in self.build.images:
            began = self.world.now()
            image = builder.made[name]
            try:
                self._push_one(Reference.parse(name), image)
            except BuildError as error:
                raise _Failed(_FAILURE.PUSH_NOT_AUTHORIZED, f"{error}") from error
            self._say(f"Pushing {name}")
            self._say(f"{Reference.parse(name).tag}: digest: {image.digest}")
            timing = cb.TimeSpan(start_time=began, end_time=self.world.now())
            built = cb.BuiltImage(name=name, digest=image.digest, push_timing=timing)
            self.build.results.images.append(built)

    def _push_one(self, reference: Reference, image: Image) -> None:
        repository = reference.repository
        if repository is None:
            raise BuildError(f"the emulator has no registry for {reference.name}")
        if not self.account.email.endswith(LEGACY) and not iam.has_permission(
            self.world,
            self.account,
            "artifactregistry.repositories.uploadArtifacts",
            repository,
        ):
            raise BuildError(
                'denied: Permission "artifactregistry.repositories.uploadArtifacts" denied on '
                f'resource "{repository}" (or it may not exist)'
            )
        if self.world.get(REPOSITORIES, repository) is None:
            short = repository.rpartition("/")[2]
            raise BuildError(f'name unknown: Repository "{short}" not found')
        self.runtime.images.push(reference, image)

    # Programs and their lines.

    def _program(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        say: Callable[[str], None],
    ) -> int:
        def on_line(stream: Stream, line: str) -> None:
            say(line)

        return self.runtime.run(
            command, folder=folder, environment=environment, on_line=on_line, stop=self.stop
        )

    def _say(self, line: str, step: str = "") -> None:
        with (self.folder / "log.txt").open("a", encoding="utf-8") as text:
            text.write(f"{line}\n")
        if self.may_log and self.build.options.logging != cb.BuildOptions.LoggingMode.NONE:
            entry = self.origin.entry("cloudbuild", "INFO", textPayload=line)
            labels = {"build_step": step} if step else {}
            self.runtime.logs.write({**entry, "labels": labels})

    # What is reported.

    def _save(self, status: int) -> None:
        self.build.status = _STATUS(status)
        put(self.world, self.build)
        operations.update(self.world, self.operation, cb.BuildOperationMetadata(build=self.build))

    def _break(self, error: Exception) -> None:
        """Ends a build that the emulator itself could not carry out."""
        if not self.world.closing.is_set():
            self.build.status_detail = f"The emulator failed: {error!r}"
            self.build.finish_time = self.world.now()
            self._save(_STATUS.INTERNAL_ERROR)

    def _end(self, failure: _Failed | None) -> cb.Build:
        if self.world.closing.is_set():
            raise errors.aborted(STOPPED)
        build = self.build
        build.finish_time = self.world.now()
        if failure is None:
            self.runtime.logs.flush()
            self._save(SUCCESS)
            return build
        self._say(f"ERROR: {failure.detail}")
        self.runtime.logs.flush()
        build.status_detail = failure.detail
        if failure.status == FAILURE:
            build.failure_info = cb.Build.FailureInfo(type_=failure.kind, detail=failure.detail)
        for step in build.steps:
            if step.status == _STATUS.STATUS_UNKNOWN and failure.status == CANCELLED:
                step.status = _STATUS(CANCELLED)
        self._save(failure.status)
        google = {
            _STATUS(CANCELLED): "CANCELLED",
            _STATUS(TIMEOUT): "DEADLINE_EXCEEDED",
        }.get(failure.status, "UNKNOWN")
        what = {"CANCELLED": "Build cancelled", "DEADLINE_EXCEEDED": "Build timed out"}
        said = what.get(google, "Build failed; check build logs for details")
        raise errors.error(google, f"{said}: {failure.detail}")
