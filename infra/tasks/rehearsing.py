"""The release of this tree over what is deployed, in the scene of a rehearsal, and what is seen of
it: what the load was answered, the traffic, the database's locks.
"""

# ruff: noqa: PLC0415

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from infra.project import Project, ProjectError
from infra.report import step
from infra.tasks.deploy import deploy
from infra.tasks.provision import provision
from infra.tasks.scene import Scene, as_owner, call, give, made_up, psql_of, read_stand_ins

if TYPE_CHECKING:
    from google.cloud import run_v2

    from infra.environment import Environment
    from infra.rehearsal.facts import Facts, Migration, Ran
    from infra.rehearsal.locks import Sampler
    from infra.rehearsal.psql import Psql
    from infra.rehearsal.report import Report
    from infra.resources.base import Work

# The load is spread over so long; what the release takes longer is more of it.
LOAD_SECONDS = 40


def rehearse(
    scene: Scene,
    project: Project,
    requests: int,
    set_secrets: frozenset[str] = frozenset(),
    seconds: float = LOAD_SECONDS,
) -> "Report":
    """Provisions and releases the project over what serves, under load: at least so many requests,
    and so many in the seconds, for as long as it takes.

    `set_secrets` are those that have a value although what is deployed does not declare them.
    """
    from infra.environment import load
    from infra.rehearsal import facts
    from infra.rehearsal.load import Load
    from infra.rehearsal.report import Report
    from infra.rehearsal.traffic import Traffic
    from infra.release.live import get_service, list_revisions, short, split_of

    declared = load(project.folder, scene.deployed.name)
    check_same(scene.deployed, declared)
    work = as_owner(declared)
    revisions = list_revisions(work)
    known = frozenset(short(each.name) for each in revisions)
    serving = dict(split_of(get_service(work)))
    began = datetime.now(UTC)
    with (
        Load(scene.url, scene.paths, requests / seconds, requests) as asked,
        Traffic(work) as traffic,
    ):
        found = release_over(scene, project, declared, known, set_secrets)
    answered = sum(not each.is_lost for each in asked.requests)
    found = replace(
        found,
        unset={
            each: secret
            for each, secret in declared.secrets.items()
            if secret not in {*scene.deployed.secrets.values(), *set_secrets}
        },
        requests=tuple(asked.requests),
        served=facts.served(work, answered, began),
        before=tuple(
            facts.read_revision(work, each) for each in revisions if short(each.name) in serving
        ),
        traffic=tuple(traffic.seen),
    )
    return Report.of(with_places(found, project.folder))


def release_over(
    scene: Scene,
    project: Project,
    declared: "Environment",
    known: frozenset[str],
    set_secrets: frozenset[str],
) -> "Facts":
    """Provisions and deploys. Returns what the two did; `known` are the revisions before."""
    from infra.rehearsal import facts
    from infra.rehearsal.findings import is_the_service

    work = as_owner(declared)
    where = {"env": declared.name, "service": str(project.folder)}
    with step("provision this tree"):
        provisioned = call(provision, scene.context, **where, json=True)
    changes = tuple(facts.Change.read(provisioned.output))
    tried = facts.newest_revision(work, known)
    found = facts.Facts(declared.name, provisioned, changes, tried=tried)
    if provisioned.status and not (found.failed and all(map(is_the_service, found.failed))):
        return found
    # The service itself is made anew by the release, and may be well then.
    give(work, made_up(set_secrets, read_stand_ins(project.folder)))
    with step("release this tree"):
        released, migration = release(scene, declared, work, where)
    known |= {tried.name} if tried else set()
    after = facts.newest_revision(work, known)
    return replace(found, deploy=released, migration=migration, after=after)


def release(
    scene: Scene, declared: "Environment", work: "Work", where: Mapping[str, str]
) -> "tuple[Ran, Migration | None]":
    """Deploys, and looks on at the database meanwhile."""
    from infra.rehearsal import facts
    from infra.rehearsal.locks import Sampler

    psql = psql_of(scene.state, declared)
    before, began = head_of(psql), datetime.now(UTC)
    with Sampler(psql) as sampler:
        released = call(deploy, scene.context, **where)
    runs = facts.executions(work, began)
    if not runs:
        return released, None
    return released, migration_of(runs, sampler, before, head_of(psql))


def migration_of(
    runs: "list[run_v2.Execution]", sampler: "Sampler", before: str, after: str
) -> "Migration":
    """What is known of the migration that some runs of the job were, the oldest of them first."""
    from infra.rehearsal.facts import Migration

    ended = [each for each in runs if each.completion_time]
    took = (each.completion_time - each.create_time for each in ended)
    return Migration(
        began=runs[0].create_time,
        seconds=sum(each.total_seconds() for each in took),
        is_failed=any(each.succeeded_count < max(each.task_count, 1) for each in runs),
        before=before,
        after=after,
        locks=tuple(sampler.locks),
        rewritten=tuple(sampler.rewritten),
    )


def check_same(deployed: "Environment", declared: "Environment") -> None:
    """Raises ProjectError when this tree is of another service than what is deployed."""
    for field, one, other in (
        ("project", deployed.project, declared.project),
        ("region", deployed.region, declared.region),
        ("service.name", deployed.service.name, declared.service.name),
    ):
        if one != other:
            raise ProjectError(
                f"environments/{declared.name}.yaml: {field} was {one} and is {other}: that is "
                "another service, which nothing is released over. What is deployed stays as it is"
            )


def head_of(psql: "Psql") -> str:
    """The database's revision, as Alembic notes it; "" before the first."""
    from infra.rehearsal.psql import PsqlError

    try:
        return ", ".join(row[0] for row in psql.ask("SELECT version_num FROM alembic_version"))
    except PsqlError:
        return ""


def with_places(facts: "Facts", folder: Path) -> "Facts":
    """The facts, and where this tree still reads the variables that it is no longer given."""
    found = {name: place for name in facts.removed if (place := place_of(folder, name))}
    return replace(facts, still_read=found)


def place_of(folder: Path, variable: str) -> str:
    """The first line of the source that names a variable, or the setting it is read into; "" for
    none: `PAYMENT__KEY` or `payment.key`."""
    names = [re.escape(variable)]
    if "__" in variable:
        names.append(re.escape(variable.lower().replace("__", ".")))
    pattern = re.compile(rf"\b({'|'.join(names)})\b")
    for path in sorted((folder / "src").rglob("*.py")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if pattern.search(line):
                return f"{path.relative_to(folder).as_posix()}:{number}"
    return ""
