"""`invoke migrate`: the database brought to a revision, by the image that was deployed last."""

# ruff: noqa: PLC0415

from invoke.context import Context
from invoke.tasks import task

from infra.report import say
from infra.tasks.opening import open_cloud
from infra.tasks.options import ENV, LOCK_TIMEOUT, SERVICE, friendly, terminated_is_interrupted
from infra.tasks.releasing import releasing, step_of

REVISION = "A revision of db/versions, or one relative to it like +1. Default: the newest, head."


@task(help={"env": ENV, "service": SERVICE, "revision": REVISION, "lock-timeout": LOCK_TIMEOUT})
@friendly
def migrate(
    context: Context,
    env: str | None = None,
    service: str | None = None,
    revision: str = "head",
    lock_timeout: int = 0,
) -> None:
    """Run the migrations of the image deployed last, as a Cloud Run job, and show its log."""
    with terminated_is_interrupted():
        opened = open_cloud(context, service, env)
        from infra.release import migrate as migration

        with releasing(opened, "migrate", lock_timeout) as work:
            image = migration.deployed_image(work)
            say(f"Migrating {opened.environment.database.name} in {opened.environment.name}")
            say(f"with {image}\n")
            with step_of(work, f"migrate to {revision}") as tell:
                lines = migration.run(work, revision, tell)
        said = [line.text.rstrip() for line in lines if not line.by_platform]
        for text in said or ["Nothing was logged: most likely it was there already."]:
            say(f"  {text}")
