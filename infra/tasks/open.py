"""`invoke open`: the service in the browser."""

# ruff: noqa: PLC0415

import webbrowser

from invoke.context import Context
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import say
from infra.tasks.opening import open_cloud
from infra.tasks.options import ENV, SERVICE, friendly
from infra.tasks.releasing import work_on

PATH = "Which page of it. Default: /docs, which there is outside prd."
PRD = "prd"


@task(name="open", help={"env": ENV, "service": SERVICE, "path": PATH})
@friendly
def open_service(
    context: Context, env: str | None = None, service: str | None = None, path: str | None = None
) -> None:
    """Open the service in the browser, and print its address."""
    opened = open_cloud(context, service, env)
    if path is None:
        path = "/" if opened.environment.name == PRD else "/docs"
    if not path.startswith("/"):
        raise ProjectError(f"--path must begin with / (got {path!r})")
    from infra.release.live import get_service

    live = get_service(work_on(opened))
    url = live.uri.rstrip("/") + path
    say(url)
    names = opened.cloud.names
    if not opened.cloud.is_emulated and "allUsers" not in opened.environment.service.invokers:
        say(
            "It is private, and a browser can't log in to it by itself. Through a proxy that can:\n"
            f"  gcloud run services proxy {names.name} --project {names.project} "
            f"--region {names.region}"
        )
        return
    if not webbrowser.open(url):
        say("No browser could be opened here.")
