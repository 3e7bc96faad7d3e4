"""The first stage: the source, as an image."""

# ruff: noqa: PLC0415

from dataclasses import dataclass, replace
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

from infra.report import complain, say
from infra.tasks.opening import Opened
from infra.tasks.releasing import step_of

if TYPE_CHECKING:
    from google.cloud.devtools.cloudbuild_v1 import Build

    from infra.release.record import Record
    from infra.release.source import Commit
    from infra.resources.base import Work


@dataclass(frozen=True)
class Built:
    """An image, by digest, and what is known of it. `version` names its source."""

    image: str
    version: str
    record: "Record"


def make(opened: Opened, work: "Work", plan: "Build", *, rebuild: bool = False) -> Built:
    """Packages the source and builds it, unless there is an image of it already."""
    from infra.release import build, source

    with source.package(opened.project.folder) as packaged:
        commit = source.Commit.read(opened.project.folder)
        version = commit.version(packaged)
        record = record_of(opened, commit, packaged.sha256)
        if commit.is_dirty:
            complain(f"warning: files here differ from commit {commit.id[:12]}; they are released")
        if packaged.advice:
            complain(f"warning: {packaged.advice}")
        image = None if rebuild else build.find_image(work, version)
        if image:
            say(f"  {version[:12]} is built already, {packaged.summary}: --rebuild builds it again")
        else:
            with step_of(work, f"upload the source, {packaged.summary}"):
                source.upload(work, packaged)
            with step_of(work, "build the image") as tell:
                build.prepare(plan, opened.cloud.names, packaged, version, record)
                image = build.run(work, plan, version, tell)
    return Built(image, version, record)


@dataclass(frozen=True)
class Named:
    """An image that is there already, and what whoever names it says of it, "" for nothing."""

    image: str
    commit: str = ""
    branch: str = ""


def take(opened: Opened, work: "Work", named: Named) -> Built:
    """The image that is named, instead of one that is built of the folder's files."""
    from infra.images.reference import Reference
    from infra.release import build, source

    image = build.find_named(work, named.image)
    # The folder's own commit says nothing of an image; a tag that is a commit does.
    tag = Reference.parse(named.image).tag
    found = source.Commit.find(opened.project.folder, named.commit or tag)
    commit = source.Commit(named.commit or found.id, named.branch, found.author)
    record = record_of(opened, commit)
    if not commit.id:
        record = remembered(work, image, record)
    version = record.commit or image.rpartition(":")[2]
    say(f"  {version[:12]} is built already, as {image}")
    return Built(image, version, record)


def remembered(work: "Work", image: str, record: "Record") -> "Record":
    """The record of a release, with what an earlier release of the same image knew of its
    source."""
    from infra.release import history

    for each in history.find(work):
        if each.image == image:
            of = each.record
            known = {"commit": of.commit, "branch": of.branch, "author": of.author}
            return replace(record, **known, dirty=of.dirty, source=of.source)
    return record


def record_of(opened: Opened, commit: "Commit", sha256: str = "") -> "Record":
    """What the revision is to remember of this release."""
    from infra.caller import who
    from infra.names import MANAGED_BY
    from infra.release.record import Record

    return Record(
        commit=commit.id,
        branch=commit.branch,
        author=commit.author,
        dirty="true" if commit.is_dirty else "",
        source=sha256,
        engine=version_of(MANAGED_BY),
        by=who(opened.cloud),
    )
