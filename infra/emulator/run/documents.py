"""How Cloud Run's resources are kept in the world, each by its full name."""

import random

from google.cloud import run_v2

from infra.emulator import errors, messages
from infra.emulator.world import World

SERVICES, REVISIONS, TEMPLATES = "run_services", "run_revisions", "run_templates"
JOBS, EXECUTIONS, TASKS = "run_jobs", "run_executions", "run_tasks"


def get_service(world: World, name: str) -> run_v2.Service:
    """A service, or 404."""
    return _get(world, SERVICES, name, run_v2.Service)


def put_service(world: World, service: run_v2.Service) -> None:
    """Keeps a service."""
    world.put(SERVICES, service.name, messages.dump(service))


def find_revision(world: World, name: str) -> run_v2.Revision | None:
    """A revision, or None."""
    body = world.get(REVISIONS, name)
    return None if body is None else messages.from_json(run_v2.Revision, body)


def put_revision(world: World, revision: run_v2.Revision) -> None:
    """Keeps a revision."""
    world.put(REVISIONS, revision.name, messages.dump(revision))


def forget_revision(world: World, name: str) -> None:
    """Forgets a revision."""
    with world.transaction():
        world.delete(REVISIONS, name)
        world.delete(TEMPLATES, name)


def revisions_of(world: World, service: str) -> list[run_v2.Revision]:
    """All revisions of a service, the newest first."""
    bodies = world.list(REVISIONS, f"{service}/revisions/")
    found = [messages.from_json(run_v2.Revision, body) for body in bodies]
    return sorted(found, key=lambda one: one.create_time, reverse=True)


def get_job(world: World, name: str) -> run_v2.Job:
    """A job, or 404."""
    return _get(world, JOBS, name, run_v2.Job)


def put_job(world: World, job: run_v2.Job) -> None:
    """Keeps a job."""
    world.put(JOBS, job.name, messages.dump(job))


def get_execution(world: World, name: str) -> run_v2.Execution:
    """An execution, or 404."""
    return _get(world, EXECUTIONS, name, run_v2.Execution)


def put_execution(world: World, execution: run_v2.Execution) -> None:
    """Keeps an execution."""
    world.put(EXECUTIONS, execution.name, messages.dump(execution))


def executions_of(world: World, job: str) -> list[run_v2.Execution]:
    """All executions of a job."""
    bodies = world.list(EXECUTIONS, f"{job}/executions/")
    return [messages.from_json(run_v2.Execution, body) for body in bodies]


def get_task(world: World, name: str) -> run_v2.Task:
    """A task, or 404."""
    return _get(world, TASKS, name, run_v2.Task)


def put_task(world: World, task: run_v2.Task) -> None:
    """Keeps a task."""
    world.put(TASKS, task.name, messages.dump(task))


def tasks_of(world: World, execution: str) -> list[run_v2.Task]:
    """All tasks of an execution, by their index."""
    bodies = world.list(TASKS, f"{execution}/tasks/")
    found = [messages.from_json(run_v2.Task, body) for body in bodies]
    return sorted(found, key=lambda task: task.index)


def _get[M](world: World, kind: str, name: str, message: type[M]) -> M:
    body = world.get(kind, name)
    if body is None:
        parts = name.split("/")
        what = kind.removeprefix("run_").removesuffix("s").upper()
        raise errors.not_found(
            f"Resource '{parts[-1]}' of kind '{what}' in region '{parts[3]}' in project "
            f"'{parts[1]}' does not exist."
        )
    return messages.from_json(message, body)


def uid() -> str:
    """A new one."""
    text = "".join(random.choices("0123456789abcdef", k=32))  # noqa: S311
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
