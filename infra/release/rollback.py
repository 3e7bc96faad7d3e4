"""Which revision a rollback goes to, and whether it can."""

from collections.abc import Sequence
from pathlib import Path

from infra.release import ReleaseError, migrate, schema
from infra.release.history import Release
from infra.release.record import Record
from infra.resources.base import Work


def choose(releases: Sequence[Release], served: Sequence[str], to: str | None, env: str) -> Release:
    """The release to go back to: the named one, else the one that had all the traffic before the
    one that has most of it now.

    `releases` are the newest first, `served` those that had all the traffic. Raises ReleaseError.
    """
    again = f"invoke releases --env {env} lists them"
    by_name = {each.revision: each for each in releases}
    serving = max(releases, key=lambda each: each.percent, default=None)
    if serving is None:
        raise ReleaseError(f"nothing was released yet: invoke deploy --env {env}")
    if to is None:
        before = [name for name in served if by_name.get(name, serving).percent == 0]
        known = [by_name[name] for name in before if name in by_name]
        older = releases[releases.index(serving) + 1 :]
        found = next((each for each in (known if served else older) if each.is_ready), None)
        if found is None:
            raise ReleaseError(f"there is no release before {serving.revision} to go back to")
        return found
    if to not in by_name:
        raise ReleaseError(f"there is no release {to}; {again}")
    found = by_name[to]
    if not found.is_ready:
        raise ReleaseError(f"{to} never was healthy, and can't serve; {again}")
    if found.percent == 100:
        raise ReleaseError(f"{to} has all the traffic already")
    return found


def check_schema(work: Work, folder: Path, revision: str, record: Record) -> None:
    """Raises ReleaseError when a revision can't run on the database as it is now, naming the
    migrations that stand between; SchemaError when the files here are older than the database."""
    current = migrate.current(work)
    between = schema.stands_between(folder, current, record)
    if not between:
        return
    listed = "".join(f"\n    {each.where}: {each}" for each in between)
    env = work.cloud.environment.name
    raise ReleaseError(
        f"{revision} can't run on the database, which is at {current}: it was released with "
        f"{record.schema}, and what it needs was taken away since by{listed}\n"
        f"Roll back to a later release (invoke releases --env {env}), or release the fix forward"
    )
