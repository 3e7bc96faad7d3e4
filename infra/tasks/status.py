"""`invoke status`: what runs in an environment, and where."""

# ruff: noqa: PLC0415

from threading import Event
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from infra.report import say
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, SERVICE, friendly

if TYPE_CHECKING:
    from infra.yaml_file import Value

type Line = tuple[str, str]

WIDTH = 12
NOT_THERE = "not there yet"


@task(help={"env": ENV, "service": SERVICE})
@friendly
def status(context: Context, env: str | None = None, service: str | None = None) -> None:
    """Say what runs: the address, the revisions and their traffic, the job, the database."""
    opened = open_cloud(context, service, env)
    say(
        f"{opened.cloud.names.name}-{opened.environment.name}, project {opened.cloud.names.project}"
    )
    for name, value in look(opened):
        say(f"  {name:<{WIDTH}} {value}".rstrip())


def look(opened: Opened) -> list[Line]:
    """The lines, read at the same time."""
    from infra.resources.base import Reads, Work
    from infra.resources.database import Instance
    from infra.resources.run import ask_job, ask_service
    from infra.retry import Retry

    names = opened.cloud.names
    work = Work(opened.cloud, Retry(Event()), {}, Reads())
    instance = Instance(names).ask_instance()
    found = work.ask_all(
        {"service": ask_service(names), "job": ask_job(names), "instance": instance}
    )
    lines = service_lines(found["service"]) + job_lines(found["job"])
    lines += database_lines(found["instance"])
    if not any(value != NOT_THERE for _, value in lines):
        lines.append(("", f"invoke provision --env {opened.environment.name}"))
    return lines


def service_lines(service: "Value") -> list[Line]:
    """The service: its address, its state, its image, and which revision gets what."""
    if service is None:
        return [("service", NOT_THERE)]
    from infra.names import PLACEHOLDER_IMAGE
    from infra.resources.asks import last, listed, text
    from infra.resources.run import failure, is_settled, serving

    why = failure(service)
    state = "ready" if is_settled(service) and not why else f"not ready: {why or 'in progress'}"
    image = text(serving(service), "image")
    if image == PLACEHOLDER_IMAGE:
        image += "  (a placeholder, until invoke deploy)"
    lines = [("url", text(service, "uri")), ("service", state), ("image", image)]
    for each in listed(service, "trafficStatuses"):
        revision = last(each.get("revision") or text(service, "latestReadyRevision"))
        tag = f"  {text(each, 'tag')} {text(each, 'uri')}" if each.get("tag") else ""
        lines.append(("revision", f"{revision}  {each.get('percent', 0)} %{tag}"))
    return lines


def job_lines(job: "Value") -> list[Line]:
    """The job that migrates, and how it ended last."""
    if job is None:
        return [("job", NOT_THERE)]
    from infra.resources.asks import fields, last, text

    run = fields(job, "latestCreatedExecution")
    if not run.get("name"):
        return [("job", f"{last(text(job, 'name'))}  never run")]
    how = text(run, "completionStatus").removeprefix("EXECUTION_").lower().replace("_", " ")
    return [("job", f"{last(text(run, 'name'))}  {how}")]


def database_lines(instance: "Value") -> list[Line]:
    """The database."""
    if instance is None:
        return [("database", NOT_THERE)]
    from infra.resources.asks import text

    kind = f"{text(instance, 'databaseVersion')}, {text(instance, 'settings', 'tier')}"
    return [("database", f"{text(instance, 'name')}  {text(instance, 'state')}  ({kind})")]
