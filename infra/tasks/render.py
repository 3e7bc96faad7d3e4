"""`invoke render`: the manifest with its names filled in, as a release would send it."""

# ruff: noqa: PLC0415

from threading import Event

from invoke.context import Context
from invoke.tasks import task

from infra.report import say
from infra.tasks.opening import open_cloud
from infra.tasks.options import ENV, SERVICE, friendly


@task(help={"env": ENV, "service": SERVICE})
@friendly
def render(context: Context, env: str | None = None, service: str | None = None) -> None:
    """Print ci/cloud-run.yaml filled in for an environment; secrets stay references."""
    opened = open_cloud(context, service, env)
    from infra import manifest
    from infra.resources.base import Reads, Work
    from infra.resources.secrets import find_versions
    from infra.retry import Retry

    names, secrets = opened.cloud.names, opened.environment.secrets
    wanted = dict.fromkeys([names.password_secret, *secrets.values()])
    work = Work(opened.cloud, Retry(Event()), {}, Reads())
    found = find_versions(work, names.project, wanted)
    for missing in [name for name in wanted if name not in found]:
        say(f"# {missing} has no value yet: its version is not known")
    # The image is without tag or digest, so that Skaffold can put its own in its place.
    versions = {name: found.get(name, manifest.LATEST) for name in wanted}
    filled = manifest.read(
        opened.project.folder, opened.environment, image=names.image, versions=versions
    )
    say(filled.text.rstrip())
