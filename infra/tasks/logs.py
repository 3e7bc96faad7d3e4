"""`invoke logs`: what the service said, and what Cloud Run said of it."""

# ruff: noqa: PLC0415

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import Colour, paint, say
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, SERVICE, friendly
from infra.tasks.releasing import work_on

if TYPE_CHECKING:
    from infra.release.logs import Line, Log

LINES, MOST = 50, 1000
SEVERITIES = (
    "DEFAULT",
    "DEBUG",
    "INFO",
    "NOTICE",
    "WARNING",
    "ERROR",
    "CRITICAL",
    "ALERT",
    "EMERGENCY",
)
"""https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#logseverity"""
REVISION = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
SECONDS = 19
"""How much of a time is shown: 2026-03-01T12:30:00."""


@task(
    help={
        "env": ENV,
        "service": SERVICE,
        "follow": "Go on with what comes, until Ctrl-C.",
        "lines": f"How many lines at first, the newest; at most {MOST}.",
        "revision": "Only those of a revision: invoke releases lists them.",
        "severity": "Only lines that are so grave at least, such as WARNING or ERROR.",
    }
)
@friendly
def logs(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    follow: bool = False,
    lines: int = LINES,
    revision: str | None = None,
    severity: str | None = None,
) -> None:
    """Show what the service logged, the newest last, and what Cloud Run says of it. UTC."""
    if not 1 <= lines <= MOST:
        raise ProjectError(f"--lines must be between 1 and {MOST} (got {lines})")
    narrowed = narrowing(revision, severity)
    opened = open_cloud(context, service, env)
    log, work = log_of(opened, narrowed), work_on(opened)
    found = log.newest(work, lines)
    for line in found:
        show(line)
    if not found and not follow:
        say("nothing was logged")
    if follow:
        for line in log.follow(work, found):
            show(line)


def narrowing(revision: str | None, severity: str | None) -> str:
    """The part of the filter that options give. Raises ProjectError."""
    filters = ""
    if revision is not None:
        if not REVISION.fullmatch(revision):
            raise ProjectError(f"--revision {revision!r} is no name of a revision")
        filters += f' AND resource.labels.revision_name="{revision}"'
    if severity is not None:
        if severity.upper() not in SEVERITIES:
            near = get_close_matches(severity.upper(), SEVERITIES, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(SEVERITIES)}"
            raise ProjectError(f"--severity {severity!r}: {hint}")
        filters += f" AND severity>={severity.upper()}"
    return filters


def log_of(opened: Opened, narrowed: str) -> "Log":
    """What the service's revisions log."""
    from infra.release.logs import Log

    cloud = opened.cloud
    of_service = (
        'resource.type="cloud_run_revision" '
        f'AND resource.labels.service_name="{cloud.names.name}" '
        f'AND resource.labels.location="{cloud.names.region}"'
    )
    return Log(cloud, of_service + narrowed)


def show(line: "Line") -> None:
    """A line, as it can do no harm to a terminal: what is logged may be a stranger's."""
    when = line.when[:SECONDS].replace("T", " ")
    first, *rest = ("".join(map(visible, each)) for each in line.text.rstrip().split("\n"))
    say(f"{when} {paint(f'{line.severity:<8}', colour_of(line))} {first}")
    for each in rest:
        say(f"    {each}")


def visible(character: str) -> str:
    """The character, or the escape of one that could talk to the terminal."""
    is_harmless = character.isprintable() or character == "\t"
    return character if is_harmless else repr(character)[1:-1]


def colour_of(line: "Line") -> Colour | None:
    """Red for errors, yellow for warnings."""
    if line.severity not in SEVERITIES or SEVERITIES.index(line.severity) < 4:
        return None
    return Colour.YELLOW if line.severity == "WARNING" else Colour.RED
