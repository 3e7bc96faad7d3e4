"""ci/cloud-build.yaml and a packaged source → an image, by digest, built by Cloud Build."""

import re
from difflib import get_close_matches
from pathlib import Path
from time import monotonic
from typing import Protocol

from google.cloud import artifactregistry_v1
from google.cloud.devtools import cloudbuild_v1
from google.cloud.devtools.cloudbuild_v1 import Build
from google.protobuf import json_format  # type: ignore[import-untyped,unused-ignore]

from infra.images.reference import Reference
from infra.names import Names
from infra.project import ProjectError
from infra.release import ReleaseError
from infra.release.logs import Line, Log, Tail, end_of
from infra.release.record import Record
from infra.release.source import Source
from infra.resources.base import Work
from infra.retry import Stopped
from infra.yaml_file import YamlError, YamlFile

FILE = "ci/cloud-build.yaml"
UNDER_WAY = {Build.Status.PENDING, Build.Status.QUEUED, Build.Status.WORKING}
# What Cloud Run's documentation calls a build that was never started, and the like.
MEANINGS = {
    Build.Status.FAILURE: "a step failed",
    Build.Status.INTERNAL_ERROR: "Cloud Build itself failed: try again",
    Build.Status.TIMEOUT: f"it took longer than the timeout in {FILE}",
    Build.Status.CANCELLED: "somebody cancelled it",
    Build.Status.EXPIRED: "it waited too long for a machine: try again",
}
FIRST_POLL_SECONDS = 0.2
LAST_POLL_SECONDS = 2.0
SLOWER = 1.3
# Cloud Logging allows 60 reads a minute.
LOG_SECONDS = 2.0
RELEASE_STEP = "release"
"""The id of the step of the build file that releases what it built."""
LAST_LINE = "DONE"
"""What Cloud Build logs last, of a build that succeeded."""
UNKNOWN_FIELD = re.compile(r'no field named "(?P<name>[^"]*)" at "Build(?P<path>[^"]*)"')
FIELDS = re.compile(r"Available Fields\(except extensions\): \"\[(?P<fields>.*?)\]")
FAILED_PATH = re.compile(r"(?P<what>[^:]*(?:: [^:]*)?) at Build\.(?P<path>[\w.\[\]]+?)\.*$")
SUBSTITUTION = re.compile(r"\$\{?(_[A-Z0-9_]+)")


class Listener(Protocol):
    """Who hears how a build goes."""

    def __call__(self, text: str) -> None:
        """What it is at."""

    def log(self, text: str) -> None:
        """Lines of its log."""


def read(folder: Path) -> Build:
    """The build that the service's file describes. Raises ProjectError with the file, the line
    and the field, for anything that Cloud Build does not know."""
    try:
        file = YamlFile.read(folder / FILE)
    except OSError as error:
        raise ProjectError(f"{FILE} can't be read: {error}") from error
    except YamlError as error:
        raise ProjectError(f"{FILE}:{error.line}: {error}") from error
    build = Build()
    try:
        json_format.ParseDict(file.value, Build.pb(build))
    except json_format.ParseError as error:
        raise ProjectError(explain(file, str(error))) from error
    except (TypeError, AttributeError) as error:
        raise ProjectError(f"{FILE}: is no build: {error}") from error
    if not build.steps:
        raise ProjectError(f"{FILE}: a build needs steps")
    return build


def explain(file: YamlFile, fault: str) -> str:
    """A fault that protobuf found, with the line it is on."""
    if unknown := UNKNOWN_FIELD.search(fault):
        name, path = unknown["name"], unknown["path"].lstrip(".")
        listed = FIELDS.search(fault)
        fields = re.findall(r"'(\w+)'", listed["fields"]) if listed else []
        near = get_close_matches(name, fields, 1)
        hint = f": did you mean {near[0]}?" if near else f"; there are {', '.join(fields)}"
        return at(file, f"{path}.{name}".lstrip("."), f"there is no such field{hint}")
    last = re.sub(r"(Failed to parse \w+ field: )+", "", fault).rstrip(".")
    if failed := FAILED_PATH.search(last):
        return at(file, failed["path"], failed["what"])
    fields = re.findall(r"Failed to parse (\w+) field", fault)
    return at(file, ".".join(fields), last)


def at(file: YamlFile, path: str, text: str) -> str:
    """`ci/cloud-build.yaml:7: steps[0].name: text`."""
    where = tuple(
        int(part) if part.isdigit() else part for part in re.findall(r"[A-Za-z_]\w*|\d+", path)
    )
    return f"{FILE}:{file.line(where)}: {path}: {text}"


def prepare(build: Build, names: Names, source: Source, tag: str, record: Record) -> Build:
    """The build of this source: where it lies, what it is called, who builds it, and what the image
    is to remember.

    It ends with the image: the step that releases it is the trigger's, who has nobody to go on."""
    build.source = cloudbuild_v1.Source(
        storage_source=cloudbuild_v1.StorageSource(bucket=names.bucket, object_=source.object_name)
    )
    if not build.service_account:
        build.service_account = f"projects/{names.project}/serviceAccounts/{names.build_account}"
    given = {
        "_REGION": names.region,
        "_REPOSITORY": names.name,
        "_SERVICE": names.name,
        "_TAG": tag,
        "_COMMIT": record.commit,
        "_BRANCH": record.branch,
        "_AUTHOR": record.author,
        "_DIRTY": record.dirty,
        "_SOURCE": record.source,
        "_ENGINE": record.engine,
    }
    declared = set(build.substitutions)
    used = substitutions_of(build)
    build.steps = [step for step in build.steps if step.id != RELEASE_STEP]
    # What only that step used, or the file does not use, would fail a build that has to match all.
    for key in used - substitutions_of(build):
        build.substitutions.pop(key, None)
        declared.discard(key)
    used = substitutions_of(build) | declared
    # Cloud Build would take a dollar in a value for a substitution of its own.
    values = {key: value.replace("$", "") for key, value in given.items() if key in used}
    build.substitutions.update(values)
    build.tags.extend([names.name, names.environment.name])
    return build


def substitutions_of(build: Build) -> set[str]:
    """The substitutions of ours that a build names outside of their own declaration."""
    bare = Build(Build.pb(build))
    bare.substitutions = {}
    text = str(Build.pb(bare)) + " ".join(build.substitutions.values())
    return set(SUBSTITUTION.findall(text))


def run(work: Work, build: Build, tag: str, listener: Listener) -> str:
    """Builds, and returns the image by digest.

    Raises ReleaseError with the end of the log when it fails. Interrupted, or when the lease is
    lost, it is cancelled.
    """
    started = submit(work, build)
    try:
        done = follow(work, started, listener)
    except (KeyboardInterrupt, Stopped):
        work.cloud.builds.cancel_build(cloudbuild_v1.CancelBuildRequest(name=started.name))
        raise
    return image_of(done, f"{work.cloud.names.image}:{tag}")


def follow(work: Work, started: Build, listener: Listener) -> Build:
    """The build when it has succeeded. Raises ReleaseError with the end of its log when not."""
    tail = Tail(log_of(work, started.id))
    done = wait(work, started.name, tail, listener)
    if done.status != Build.Status.SUCCESS:
        lines = tail.log.settled()
        show(tail.more(), listener)
        raise ReleaseError(failure(done, lines))
    for lines in tail.rest(LAST_LINE):
        show(lines, listener)
    return done


def find(work: Work, name: str) -> Build:
    """A build by its name. Raises ReleaseError when it is gone."""
    request = cloudbuild_v1.GetBuildRequest(name=name)
    build = work.read("the build", lambda: work.cloud.builds.get_build(request))
    if build is None:
        raise ReleaseError(f"the build {name} is gone")
    return build


def show(lines: list[Line], listener: Listener) -> None:
    """Lets lines be heard."""
    if lines:
        listener.log("\n".join(line.text.rstrip() for line in lines))


def find_image(work: Work, tag: str) -> str | None:
    """The image that has been pushed under the tag, by digest; None when there is none."""
    names = work.cloud.names
    # Google's "Managing images": the package of a name without slashes is called as it is.
    name = f"{names.repository}/packages/{names.name}/tags/{tag}"
    request = artifactregistry_v1.GetTagRequest(name=name)
    found = work.read(f"the image {tag}", lambda: work.cloud.artifacts.get_tag(request))
    return f"{names.image}@{found.version.rpartition('/')[2]}" if found else None


def find_named(work: Work, text: str) -> str:
    """The image that somebody names, by digest: `REPOSITORY@sha256:…` as it is, and a tag of the
    environment's own images as what it means now. Raises ProjectError, and ReleaseError when
    nothing was pushed under the tag."""
    named = Reference.parse(text)
    if named.is_pinned:
        return f"{named.registry}/{named.repository}@{named.digest}"
    ours = work.cloud.names.image
    if f"{named.registry}/{named.repository}" != ours or not named.tag or named.digest:
        raise ProjectError(
            f"--image {text}: an image is named by its digest, REPOSITORY@sha256:…, or by a tag of "
            f"this environment's own, {ours}:TAG"
        )
    image = find_image(work, named.tag)
    if image is None:
        raise ReleaseError(f"there is no image {named.tagged}: nothing was pushed under that tag")
    return image


def submit(work: Work, build: Build) -> Build:
    """Starts the build; with its id and name, which are the server's."""
    # A build is regional only if its project is named nowhere but in its parent.
    request = cloudbuild_v1.CreateBuildRequest(parent=work.cloud.names.location, build=build)
    operation = work.call("start the build", lambda: work.cloud.builds.create_build(request))
    started: Build = operation.metadata.build
    if not started.name:
        started.name = f"{work.cloud.names.location}/builds/{started.id}"
    return started


def wait(work: Work, name: str, tail: Tail, listener: Listener) -> Build:
    """The build when it has ended, well or not; Cloud Build itself sees to it that it does.

    Its log is heard as it comes."""
    pause = FIRST_POLL_SECONDS
    next_look = monotonic() + LOG_SECONDS
    while True:
        build = find(work, name)
        if build.status not in UNDER_WAY:
            return build
        listener(progress(build))
        if monotonic() >= next_look:
            show(tail.more(), listener)
            next_look = monotonic() + LOG_SECONDS
        work.retry.pause(pause)
        pause = min(pause * SLOWER, LAST_POLL_SECONDS)


def progress(build: Build) -> str:
    """Which step a build is at."""
    for number, step in enumerate(build.steps, 1):
        if step.status == Build.Status.WORKING:
            return f"step {number} of {len(build.steps)}: {step.id or step.name}"
    return str(build.status.name).lower()


def log_of(work: Work, build_id: str) -> Log:
    """What the build logs."""
    return Log(
        work.cloud,
        f'logName="projects/{work.cloud.names.project}/logs/cloudbuild" AND resource.type="build" '
        f'AND resource.labels.build_id="{build_id}"',
    )


def failure(build: Build, lines: list[Line]) -> str:
    """Why a build failed, the end of its log, and where to read the rest."""
    why = MEANINGS.get(build.status, build.status.name)
    detail = build.failure_info.detail or build.status_detail
    failed = [
        f"step {number}, {step.id or step.name}, ended with exit code {step.exit_code}"
        for number, step in enumerate(build.steps, 1)
        if step.status == Build.Status.FAILURE
    ]
    reasons = "; ".join(dict.fromkeys(filter(None, [why, *failed, detail])))
    link = f"\nThe whole log: {build.log_url}" if build.log_url else ""
    return f"the build failed: {reasons}\n{end_of(lines)}{link}"


def image_of(build: Build, tagged: str) -> str:
    """The image that was pushed under the tag, by digest."""
    for pushed in build.results.images:
        if pushed.name == tagged:
            digest: str = pushed.digest
            image = tagged.rpartition(":")[0]
            return f"{image}@{digest}"
    named = ", ".join(pushed.name for pushed in build.results.images) or "none"
    raise ReleaseError(
        f"the build pushed no image {tagged}: name it under images in {FILE}. It pushed: {named}"
    )
