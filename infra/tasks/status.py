"""`invoke status`: what runs in an environment, and where."""

# ruff: noqa: PLC0415

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from infra.report import say
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, SERVICE, friendly

if TYPE_CHECKING:
    from google.cloud import run_v2, sqladmin_v1beta4

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
    from infra.resources.run import Job, Service
    from infra.retry import Retry

    work = Work(opened.cloud, Retry(Event()), {}, Reads())
    names, folder = opened.cloud.names, opened.project.folder
    with ThreadPoolExecutor() as pool:
        service = pool.submit(Service(names, folder).find, work)
        job = pool.submit(Job(names, folder).find, work)
        instance = pool.submit(Instance(names).find, work)
        lines = service_lines(service.result()) + job_lines(job.result())
        lines += database_lines(instance.result())
    if not any(value != NOT_THERE for _, value in lines):
        lines.append(("", f"invoke provision --env {opened.environment.name}"))
    return lines


def service_lines(service: "run_v2.Service | None") -> list[Line]:
    """The service: its address, its state, its image, and which revision gets what."""
    if service is None:
        return [("service", NOT_THERE)]
    from infra.names import PLACEHOLDER_IMAGE
    from infra.resources.run import failure, is_settled, serving

    why = failure(service)
    state = "ready" if is_settled(service) and not why else f"not ready: {why or 'in progress'}"
    image = serving(service.template).image
    if image == PLACEHOLDER_IMAGE:
        image += "  (a placeholder, until invoke deploy)"
    lines = [("url", service.uri), ("service", state), ("image", image)]
    for each in service.traffic_statuses:
        revision = each.revision or service.latest_ready_revision
        tag = f"  {each.tag} {each.uri}" if each.tag else ""
        lines.append(("revision", f"{revision.rpartition('/')[2]}  {each.percent} %{tag}"))
    return lines


def job_lines(job: "run_v2.Job | None") -> list[Line]:
    """The job that migrates, and how it ended last."""
    if job is None:
        return [("job", NOT_THERE)]
    last = job.latest_created_execution
    if not last.name:
        return [("job", f"{job.name.rpartition('/')[2]}  never run")]
    how = last.completion_status.name.removeprefix("EXECUTION_").lower().replace("_", " ")
    return [("job", f"{last.name.rpartition('/')[2]}  {how}")]


def database_lines(instance: "sqladmin_v1beta4.DatabaseInstance | None") -> list[Line]:
    """The database."""
    if instance is None:
        return [("database", NOT_THERE)]
    kind = f"{instance.database_version.name}, {instance.settings.tier}"
    return [("database", f"{instance.name}  {instance.state.name}  ({kind})")]
