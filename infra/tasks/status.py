"""`invoke status`: what runs in an environment, where, since when, and what is not as declared."""

# ruff: noqa: PLC0415

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from infra.report import say
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, SERVICE, friendly
from infra.tasks.releasing import work_on

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.rest import Json
    from infra.yaml_file import Value

type Line = tuple[str, str]

WIDTH = 12
NOT_THERE = "not there yet"
COMMIT = 12


@task(help={"env": ENV, "service": SERVICE})
@friendly
def status(context: Context, env: str | None = None, service: str | None = None) -> None:
    """Say what runs: address, traffic, last release, schema, database, and what has drifted."""
    opened = open_cloud(context, service, env)
    say(
        f"{opened.cloud.names.name}-{opened.environment.name}, project {opened.cloud.names.project}"
    )
    for name, value in look(opened):
        say(f"  {name:<{WIDTH}} {value}".rstrip())


def look(opened: Opened) -> list[Line]:
    """The lines, read at the same time."""
    with ThreadPoolExecutor() as pool:
        running = pool.submit(lease_lines, opened)
        drift = pool.submit(drift_lines, opened)
        lines = found_lines(opened)
        if not any(value != NOT_THERE for _, value in lines):
            return [*lines, ("", f"invoke provision --env {opened.environment.name}")]
        return [*lines, *running.result(), *drift.result()]


def found_lines(opened: Opened) -> list[Line]:
    """What there is."""
    from infra.resources.asks import Ask
    from infra.resources.database import Instance
    from infra.resources.run import ask_job, ask_service
    from infra.rest import Request

    names = opened.cloud.names
    revisions = Request("run", f"v2/{names.service}/revisions", (), "revisions")
    found = work_on(opened).ask_all(
        {
            "service": ask_service(names),
            "revisions": Ask("the revisions", revisions),
            "job": ask_job(names),
            "instance": Instance(names).ask_instance(),
        }
    )
    listed = found["revisions"] if isinstance(found["revisions"], list) else []
    by_name = {
        str(each["name"]).rpartition("/")[2]: each for each in listed if isinstance(each, dict)
    }
    return [
        *service_lines(found["service"], by_name),
        *job_lines(found["job"]),
        *database_lines(found["instance"]),
    ]


def service_lines(service: "Value", revisions: "Mapping[str, Json]") -> list[Line]:
    """The service: its address, its state, and which revision gets what."""
    if service is None:
        return [("service", NOT_THERE)]
    from infra.release.memory import Memory
    from infra.resources.asks import last, listed, text, texts
    from infra.resources.run import failure, is_settled

    why = failure(service)
    state = "ready" if is_settled(service) and not why else f"not ready: {why or 'in progress'}"
    lines = [("url", text(service, "uri")), ("service", state)]
    for each in listed(service, "trafficStatuses"):
        revision = last(each.get("revision") or text(service, "latestReadyRevision"))
        parts = [revision, f"{each.get('percent', 0)} %"]
        if each.get("tag"):
            parts += [text(each, "tag"), text(each, "uri")]
        lines.append(("traffic", "  ".join(parts)))
        if each.get("percent"):
            lines += [("", line) for line in release_lines(revisions.get(revision))]
    lines += unserved_lines(service)
    if cut_off := Memory.read(texts(service, "annotations")).rollout:
        lines.append(("release", f"of {cut_off.candidate} is under way, or was cut off"))
    return lines


def unserved_lines(service: "Value") -> list[Line]:
    """That a change of the shape, which provision made, is not served yet; nothing where it is.

    The traffic is each release's to give.
    """
    from infra.release.record import was_released
    from infra.resources.asks import last, listed, text

    newest = last(text(service, "latestReadyRevision"))
    statuses = listed(service, "trafficStatuses")
    named = [last(each.get("revision") or newest) for each in statuses]
    if not newest or newest in named or was_released(newest):
        return []
    return [("not served", f"{newest}, of a changed shape: the next invoke deploy serves it")]


def release_lines(revision: "Json | None") -> list[str]:
    """What a revision remembers of the release that made it."""
    if revision is None:
        return []
    from infra.names import PLACEHOLDER_IMAGE
    from infra.release.record import Record
    from infra.resources.asks import text, texts
    from infra.resources.run import serving

    image = text(serving({"template": revision}), "image")
    if image.startswith(PLACEHOLDER_IMAGE):
        return ["a placeholder, until invoke deploy"]
    record = Record.read(texts(revision, "annotations"))
    when = text(revision, "createTime")[:16].replace("T", " ")
    by = f" by {record.by}" if record.by else ""
    changed = ", changed" if record.dirty else ""
    branch = f" ({record.branch})" if record.branch else ""
    commit = f"commit {record.commit[:COMMIT]}{changed}{branch}" if record.commit else "no commit"
    return [f"released {when}{by}", commit, image]


def job_lines(job: "Value") -> list[Line]:
    """The database's schema, and how the job that migrates it ended last."""
    if job is None:
        return [("job", NOT_THERE)]
    from infra.release.record import PREFIX
    from infra.resources.asks import fields, last, text, texts

    run = fields(job, "latestCreatedExecution")
    name = last(text(job, "name"))
    if not run.get("name"):
        return [("schema", f"not known: {name} never ran")]
    how = text(run, "completionStatus").removeprefix("EXECUTION_").lower().replace("_", " ")
    schema = texts(job, "annotations").get(f"{PREFIX}schema") or "not known"
    return [("schema", f"{schema}  ({last(text(run, 'name'))} {how})")]


def database_lines(instance: "Value") -> list[Line]:
    """The database."""
    if instance is None:
        return [("database", NOT_THERE)]
    from infra.resources.asks import text

    kind = f"{text(instance, 'databaseVersion')}, {text(instance, 'settings', 'tier')}"
    return [("database", f"{text(instance, 'name')}  {text(instance, 'state')}  ({kind})")]


def lease_lines(opened: Opened) -> list[Line]:
    """Who is at work on it; nothing when nobody is."""
    from infra import lease
    from infra.causes import Cause
    from infra.retry import CloudError

    try:
        holder = lease.find(opened.cloud)
    except CloudError as error:
        return [] if error.cause is Cause.ABSENT else [("running", error.said)]
    return [("running", lease.describe(holder))] if holder and not holder.is_over else []


def drift_lines(opened: Opened) -> list[Line]:
    """What is not as declared: the names of what a provision would change."""
    from infra.plan import Action, Session, plan, to_converge
    from infra.stack import stack

    resources = stack(opened.environment, opened.project.folder)
    planned = plan(resources, Session(opened.cloud, emit=lambda event: None), to_converge)
    unread = [f"{resource.key}: {error.said}" for resource, error in planned.failures]
    refused = [f"{each.resource.key}: {each.reason}" for each in planned.refused]
    due = [each.resource.key for each in planned.due if each.action is not Action.REFUSE]
    lines = [*due, *refused, *unread]
    if not lines:
        return [("drift", "none")]
    check = f"invoke provision --check --diff --env {opened.environment.name}"
    return [("drift", f"{len(lines)}: {check}"), *(("", line) for line in lines)]
