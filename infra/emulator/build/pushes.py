"""A push to a Git host, simulated: POST /emulator/push starts the builds of the triggers it fits.

A folder of this machine stands for the repository there; only what is committed is built.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.cloud.devtools import cloudbuild_v1 as cb

from infra.emulator import errors
from infra.emulator.build import remotes
from infra.emulator.build.triggered import Event, fits
from infra.emulator.cloud import Cloud
from infra.emulator.products import cloudbuild_triggers as triggers
from infra.emulator.products.cloudbuild_connections import find_repository, uris

_FIELDS = {"repository", "path", "branch", "tag", "commit", "pull_request", "base"}


def push(cloud: Cloud, body: Mapping[str, Any]) -> dict[str, Any]:
    """Starts the builds. Returns the commit, and each build with its trigger.

    `repository` is OWNER/NAME on GitHub or the address it was connected by, `path` the folder that
    stands for it; `branch` or `tag` is what is pushed, at its own commit unless `commit` says
    another. With `pull_request`, its number, the branch is to be merged into `base`.
    """
    for name in body.keys() - _FIELDS:
        raise errors.invalid(f"Unknown field {name}: there are {', '.join(sorted(_FIELDS))}.", name)
    uri = _uri(_text(body, "repository"))
    if uri not in uris(cloud.world):
        raise errors.not_found(
            f"No connection has the repository {uri}: declare it in trigger: of the environment "
            "file, and run invoke provision."
        )
    folder = Path(_text(body, "path"))
    event = _event(folder, body)
    remotes.remember(cloud.world, uri, folder)
    builds = []
    for parent, trigger in triggers.all_of(cloud.world):
        repository = trigger.repository_event_config.repository
        if not repository or find_repository(cloud.world, repository).remote_uri != uri:
            continue
        if fits(trigger, event):
            build = triggers.begin(cloud, parent, trigger, event)
            builds.append({"trigger": trigger.name, **_told(build, parent)})
    return {"commit": event.commit, "builds": builds}


def _event(folder: Path, body: Mapping[str, Any]) -> Event:
    branch, tag, base = (str(body.get(name) or "") for name in ("branch", "tag", "base"))
    number = body.get("pull_request") or 0
    if bool(branch) is bool(tag):
        raise errors.invalid("Either a branch or a tag is pushed.", "branch")
    if not isinstance(number, int) or bool(number) is not bool(base) or (number and tag):
        raise errors.invalid("A pull_request has a number, a branch, and a base.", "pull_request")
    pushed = f"refs/heads/{branch}" if branch else f"refs/tags/{tag}"
    commit = remotes.commit_of(folder, str(body.get("commit") or pushed))
    return Event(commit, branch, tag, number, base)


def _told(build: cb.Build, parent: str) -> dict[str, str]:
    return {"id": build.id, "name": f"{parent}/builds/{build.id}"}


def _uri(repository: str) -> str:
    is_uri = repository.startswith("https://")
    return repository if is_uri else f"https://github.com/{repository}.git"


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise errors.invalid(f"The field {name} is missing, or no text.", name)
    return value
