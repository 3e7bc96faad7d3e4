"""`invoke releases`: what was released, when, by whom, and which of it serves."""

# ruff: noqa: PLC0415

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import say
from infra.tasks.opening import open_cloud
from infra.tasks.options import ENV, SERVICE, friendly
from infra.tasks.releasing import work_on

if TYPE_CHECKING:
    from infra.release.history import Release

COUNT = 5
HEAD = ("revision", "released", "traffic", "commit", "image", "schema", "by")
COMMIT = 12
DIGEST = 12


@task(help={"env": ENV, "service": SERVICE, "count": "How many, the newest first."})
@friendly
def releases(
    context: Context, env: str | None = None, service: str | None = None, count: int = COUNT
) -> None:
    """List what was released, the newest first: when, which commit, by whom, and what serves."""
    if count < 1:
        raise ProjectError(f"--count must be 1 or more (got {count})")
    opened = open_cloud(context, service, env)
    from infra.release.history import find

    found = find(work_on(opened))
    say(
        f"{opened.cloud.names.name}-{opened.environment.name}, project {opened.environment.project}"
    )
    if not found:
        say(f"  nothing was released yet: invoke deploy --env {opened.environment.name}")
        return
    for line in table([HEAD, *map(row, found[:count])]):
        say(f"  {line}")
    if len(found) > count:
        say(f"  and {len(found) - count} before: --count {len(found)}")


def row(release: "Release") -> tuple[str, ...]:
    """A line of the table, by its columns."""
    record = release.record
    commit = record.commit[:COMMIT]
    if record.dirty:
        commit += ", changed"
    if record.branch:
        commit += f" ({record.branch})"
    traffic = release.fate or f"{release.percent} %"
    return (
        release.revision,
        release.created,
        traffic if release.is_ready else "not ready",
        commit or "no commit",
        release.image.rpartition(":")[2][:DIGEST],
        record.schema or "?",
        record.by or "?",
    )


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """The rows as lines, with columns that are as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True)).rstrip()
        for each in rows
    ]
