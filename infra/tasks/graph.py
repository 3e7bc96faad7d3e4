"""`invoke graph`: the resources, what each needs, and what the plan says of them, as a picture."""

# ruff: noqa: PLC0415

import sys
from contextlib import redirect_stdout
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import complain, say
from infra.tasks.opening import open_cloud
from infra.tasks.options import ENV, SERVICE, friendly, terminated_is_interrupted
from infra.tasks.telling import SKIP_TAGS, TAGS

MERMAID = "mermaid"
SVG = "svg"
ENDINGS = {".svg": SVG, ".mmd": MERMAID, ".mermaid": MERMAID, ".md": MERMAID}
HELP = {
    "env": ENV,
    "service": SERVICE,
    "out": "The file to write. Default: standard output.",
    "format": f"{MERMAID} or {SVG}. Default: what the file's name says, else {MERMAID}.",
    "destroy": "Draw what invoke destroy would do.",
    "tags": TAGS,
    "skip-tags": SKIP_TAGS,
}


@task(help=HELP)
@friendly
def graph(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    out: str | None = None,
    format: str | None = None,
    destroy: bool = False,
    tags: str | None = None,
    skip_tags: str | None = None,
) -> None:
    """Draw the resource graph with the plan's colours. Changes nothing."""
    wanted = format_of(out, format)
    with terminated_is_interrupted(), redirect_stdout(sys.stderr):
        drawn = draw(context, env, service, wanted, (tags, skip_tags), destroy=destroy)
    if out is None:
        say(drawn.rstrip("\n"))
        return
    try:
        Path(out).write_text(drawn, "utf-8", newline="\n")
    except OSError as error:
        raise ProjectError(f"--out: can't write {out}: {error.strerror}") from error
    say(f"written: {out}")


def format_of(out: str | None, given: str | None) -> str:
    """The format that is wanted. Raises ProjectError for one that there is not."""
    if given is None:
        return ENDINGS.get(Path(out).suffix.lower(), MERMAID) if out else MERMAID
    if given not in {MERMAID, SVG}:
        raise ProjectError(f"--format: must be {MERMAID} or {SVG} (got {given!r})")
    return given


def draw(  # noqa: PLR0913
    context: Context,
    env: str | None,
    service: str | None,
    wanted: str,
    tags: tuple[str | None, str | None],
    *,
    destroy: bool,
) -> str:
    """The picture in the format. What could not be read is said on standard error."""
    opened = open_cloud(context, service, env)
    from infra.drawing.mermaid import mermaid
    from infra.drawing.picture import picture
    from infra.drawing.svg import svg
    from infra.plan import Session, plan, to_converge, to_remove
    from infra.selection import Selection
    from infra.stack import stack

    chosen = Selection.of(*tags)
    resources = chosen.of_stack(stack(opened.environment, opened.project.folder))
    session = Session(opened.cloud, lambda event: None, narrow=chosen.narrow)
    planned = plan(resources, session, to_remove if destroy else to_converge)
    for resource, error in planned.failures:
        complain(f"{resource.key} could not be read: {error}")
    names = opened.cloud.names
    title = f"{names.name}-{opened.environment.name} in project {names.project}"
    shown = picture(title, resources, planned)
    return svg(shown) if wanted == SVG else mermaid(shown)
