"""A build that a trigger starts: its file and its source at a commit, and what Google says of both.

Source: Cloud Build, "Substitute variable values" and "Create and manage build triggers".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml
from google.cloud.devtools import cloudbuild_v1 as cb
from google.protobuf import json_format  # type: ignore[import-untyped]

from infra.emulator import errors, messages
from infra.emulator.build import remotes
from infra.emulator.world import World

_OPTION = cb.BuildOptions.SubstitutionOption
_LOOSE = _OPTION(_OPTION.ALLOW_LOOSE)
# What narrows a trigger down further, and is not looked at here.
_FILTERS = ("included_files", "ignored_files", "filter")


@dataclass(frozen=True)
class Event:
    """What happened in a repository: a commit was pushed to a branch, as a tag, or for a pull
    request, which is `pull_request` into `base`."""

    commit: str
    branch: str = ""
    tag: str = ""
    pull_request: int = 0
    base: str = ""


def fits(trigger: cb.BuildTrigger, event: Event) -> bool:
    """Whether an event in the trigger's repository starts it."""
    if trigger.disabled:
        return False
    config = trigger.repository_event_config
    if event.pull_request:
        asked = config.pull_request
        return "pull_request" in config and _matches(
            asked.branch, event.base, inverted=asked.invert_regex
        )
    push = config.push
    if "push" not in config:
        return False
    if event.tag:
        return "tag" in push and _matches(push.tag, event.tag, inverted=push.invert_regex)
    return "branch" in push and _matches(push.branch, event.branch, inverted=push.invert_regex)


def _matches(pattern: str, name: str, *, inverted: bool) -> bool:
    return bool(re.search(pattern, name)) is not inverted


def build_of(
    world: World, trigger: cb.BuildTrigger, repository: str, uri: str, event: Event
) -> cb.Build:
    """The build of a trigger at a commit. Raises 400 for a file that is missing or no build, and
    501 for what narrows a trigger down and is not looked at."""
    for name in _FILTERS:
        if getattr(trigger, name):
            raise errors.unimplemented(f"{name} of triggers")
    folder = remotes.find(world, uri)
    if trigger.filename:
        build = parse(trigger.filename, remotes.read(folder, event.commit, trigger.filename))
    elif "build" in trigger:
        build = cb.Build(messages.to_pb(trigger.build))
    else:
        raise errors.unimplemented("triggers that find out themselves what to build")
    given = substitutions(trigger, uri, event)
    build.substitutions = {**build.substitutions, **trigger.substitutions, **given}
    # "This is always set to ALLOW_LOOSE for triggered builds" (Cloud Build API, BuildOptions).
    build.options.substitution_option = _LOOSE
    build.options.dynamic_substitutions = True
    build.build_trigger_id = trigger.id
    build.tags = [*build.tags, *trigger.tags, f"trigger-{trigger.id}"]
    # Not the file's, which whoever pushes may write.
    build.service_account = trigger.service_account or build.service_account
    build.source = cb.Source(
        connected_repository=cb.ConnectedRepository(repository=repository, revision=event.commit)
    )
    return build


def substitutions(trigger: cb.BuildTrigger, uri: str, event: Event) -> Mapping[str, str]:
    """What Google says of an event to the build it starts."""
    full_name = re.sub(r"^https://[^/]+/|\.git$", "", uri)
    found = {
        "COMMIT_SHA": event.commit,
        "REVISION_ID": event.commit,
        "SHORT_SHA": event.commit[:7],
        "REPO_NAME": full_name.rpartition("/")[2],
        "REPO_FULL_NAME": full_name,
        "BRANCH_NAME": event.branch,
        "TAG_NAME": event.tag,
        "REF_NAME": event.branch or event.tag,
        "TRIGGER_NAME": trigger.name,
        "TRIGGER_BUILD_CONFIG_PATH": trigger.filename,
        "SERVICE_ACCOUNT": trigger.service_account,
    }
    if event.pull_request:
        found |= {
            "_HEAD_BRANCH": event.branch,
            "_BASE_BRANCH": event.base,
            "_HEAD_REPO_URL": uri.removesuffix(".git"),
            "_PR_NUMBER": str(event.pull_request),
        }
    return {name: value for name, value in found.items() if value}


def parse(name: str, text: str) -> cb.Build:
    """The build that a file describes. Raises 400."""
    build = cb.Build()
    try:
        json_format.ParseDict(yaml.safe_load(text), messages.to_pb(build))
    except (yaml.YAMLError, json_format.ParseError, TypeError, AttributeError) as error:
        raise errors.invalid(f"failed unmarshalling build config {name}: {error}") from error
    return build
