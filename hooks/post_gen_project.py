"""Finish the generated service: its engine's pin, its origin, its lock, its first commit.

cookiecutter fills in the two values below and runs the result in the new service, from a temporary
folder, with any Python it supports: one file, standard library only. All of it is optional, and a
hook that fails deletes the service: what cannot be done becomes a note with the commands to run
later, and the exit status is always 0.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ANSWERS: dict[str, Any] = json.loads(r"""{{ cookiecutter | tojson }}""")
TEMPLATE = Path(json.loads(r"""{{ [here()] | tojson }}""")[0])

ENGINE = "cookiecutter-cloudrun"
ENGINE_LINE = re.compile(r"^cookiecutter-cloudrun *= *\{.*\}$", re.MULTILINE)

VERSION = re.compile(r"^version *= *[\"']([^\"']+)[\"']", re.MULTILINE)

LOCK_SECONDS = 300
GIT_SECONDS = 60
CANNOT_RUN = {126, 127}
FIRST_COMMIT = "Generate the service"

# What belongs to the project that cookiecutter was called from (the last part is what
# `git rev-parse --local-env-vars` says, but for settings given with `git -c`).
CALLERS_VARIABLES = """
    CONDA_PREFIX PYTHONHOME PYTHONPATH UV_FROZEN UV_LOCKED UV_NO_SYNC UV_PROJECT
    UV_PROJECT_ENVIRONMENT UV_PYTHON UV_WORKING_DIR UV_WORKING_DIRECTORY VIRTUAL_ENV
    GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_CONFIG GIT_DIR GIT_GRAFT_FILE
    GIT_IMPLICIT_WORK_TREE GIT_INDEX_FILE GIT_INTERNAL_SUPER_PREFIX GIT_NAMESPACE
    GIT_NO_REPLACE_OBJECTS GIT_OBJECT_DIRECTORY GIT_PREFIX GIT_QUARANTINE_PATH
    GIT_REPLACE_REF_BASE GIT_SHALLOW_FILE GIT_WORK_TREE
"""


class Note(NamedTuple):
    """Something the user should know or do, with the lines to type or paste."""

    text: str
    lines: tuple[str, ...] = ()


class Source(NamedTuple):
    """Where the service gets its engine from: a value for uv's sources, and a note about it."""

    value: str
    note: Note | None = None


class Checkout(NamedTuple):
    """The template as a commit of its repository."""

    root: str
    subdirectory: str
    remote: str | None
    commit: str
    dirty: bool


class Step(NamedTuple):
    """Something to finish, and the commands that do the same later."""

    what: str
    run: Callable[[Path], Iterator[Note]]
    later: tuple[str, ...]


def environment() -> dict[str, str]:
    """This process's environment without what belongs to the caller's project."""
    callers = CALLERS_VARIABLES.split()
    own = {name: value for name, value in os.environ.items() if name not in callers}
    # Without network, uv would try for minutes; git would ask for a password nobody expects.
    return {"UV_HTTP_RETRIES": "1", "UV_HTTP_TIMEOUT": "20", **own, "GIT_TERMINAL_PROMPT": "0"}


def run(command: Sequence[str], folder: Path, seconds: int) -> subprocess.CompletedProcess[str]:
    """Run a command in silence; one that cannot be started answers 127, one too slow 124."""
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer in {seconds} s")


def git(*arguments: str, folder: Path) -> str | None:
    """What a git command prints, or None if it fails or there is no git."""
    result = run(["git", *arguments], folder, GIT_SECONDS)
    return result.stdout.strip() if result.returncode == 0 else None


# The engine's source


def engine_source(answers: Mapping[str, Any], template: Path) -> Source:
    """Where the engine comes from, which is where the template came from."""
    origin = str(answers["_template"])
    if origin.lower().endswith(".zip"):
        return archive_source(origin, template)
    pinned = None if is_folder(origin, str(answers.get("_repo_dir"))) else checkout_source(template)
    return Source(pinned) if pinned else folder_source(template)


def is_folder(origin: str, repo_dir: str) -> bool:
    """Whether cookiecutter used the template where it lies, and not a copy it made of it."""
    folder = origin.rstrip("/\\") or origin
    return repo_dir == origin or repo_dir.startswith((f"{folder}/", f"{folder}\\"))


def find_checkout(template: Path) -> Checkout | None:
    """The commit that the template's folder is checked out from; None when there is no such."""
    # A folder that is not a repository may lie inside another one, which is not the template's.
    if git("ls-files", "--error-unmatch", "cookiecutter.json", folder=template) is None:
        return None
    commit = git("rev-parse", "HEAD", folder=template)
    root = git("rev-parse", "--show-toplevel", folder=template)
    if not commit or not root:
        return None
    # As configured: `git remote get-url` would add what rewrites it on this machine only.
    remote = git("config", "--get", "remote.origin.url", folder=template)
    return Checkout(
        root,
        (git("rev-parse", "--show-prefix", folder=template) or "").rstrip("/"),
        public_url(remote, template) if remote else None,
        commit,
        git("status", "--porcelain", "--", ".", folder=template) != "",
    )


def checkout_source(template: Path) -> str | None:
    """The template's repository at its exact commit; None when there is no such thing."""
    checkout = find_checkout(template)
    if checkout is None or not checkout.remote:
        return None
    values = {"git": checkout.remote, "rev": checkout.commit}
    if checkout.subdirectory:
        values["subdirectory"] = checkout.subdirectory
    return inline_table(values)


def archive_source(origin: str, template: Path) -> Source:
    """The archive itself: cookiecutter deletes the folder it unpacked it to."""
    if "://" in origin:
        return Source(inline_table({"url": public_url(origin, template)}))
    archive = Path(os.environ.get("PWD", ""), origin).absolute()
    return Source(inline_table({"path": archive.as_posix()}), sharing_note(str(archive), None))


def folder_source(template: Path) -> Source:
    """The template's folder on this machine, and what to write instead before others need it."""
    value = inline_table({"path": template.as_posix(), "editable": True})
    return Source(value, sharing_note(str(template), checkout_source(template)))


def sharing_note(place: str, pinned: str | None) -> Note:
    """What to change before anyone else can install the service."""
    if pinned is None or '"file:' in pinned:
        pinned = inline_table({"git": "<URL of the template>", "rev": "<commit>"})
    return Note(
        f"The service takes {ENGINE} from {place}, which only this machine has."
        " Before you share it, write this line into pyproject.toml instead and lock again:",
        (f"{ENGINE} = {pinned}", "uv lock"),
    )


def public_url(remote: str, folder: Path) -> str:
    """A remote as a URL that uv understands, without credentials."""
    if "://" in remote:
        scheme, host, path, query, fragment = urlsplit(remote)
        user, _, host = host.rpartition("@")
        if scheme in {"http", "https"}:
            return urlunsplit((scheme, host, path, "", ""))
        user = user.partition(":")[0]
        return urlunsplit((scheme, f"{user}@{host}" if user else host, path, query, fragment))
    scp = re.fullmatch(r"((?:[^@/\\]+@)?[^:/\\]{2,}):(.+)", remote)
    if scp:
        return f"ssh://{scp[1]}/{scp[2].lstrip('/')}"
    return (folder / remote).resolve().as_uri()


def inline_table(values: Mapping[str, str | bool]) -> str:
    """A TOML inline table of strings and booleans."""
    pairs = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
    return "{ " + ", ".join(pairs) + " }"


def pin_engine(project: Path) -> Iterator[Note]:
    """Write the engine's source into the service's pyproject.toml."""
    source = engine_source(ANSWERS, TEMPLATE)
    pyproject = project / "pyproject.toml"
    text, count = ENGINE_LINE.subn(
        lambda _: f"{ENGINE} = {source.value}", pyproject.read_text(encoding="utf-8")
    )
    if not count:
        raise LookupError(f"no line of pyproject.toml says where {ENGINE} comes from")
    pyproject.write_text(text, encoding="utf-8", newline="\n")
    if source.note:
        yield source.note


# The origin


def origin(answers: Mapping[str, Any], template: Path) -> dict[str, Any]:
    """What `invoke upgrade` has to know: template, commit, version and answers, no credentials."""
    given = str(answers["_template"])
    here = Path(os.environ.get("PWD", ""))
    known: dict[str, Any] = {"template": public_url(given, here), "commit": None}
    if checkout := find_checkout(template):
        copied = checkout.remote and not is_folder(given, str(answers.get("_repo_dir")))
        known = {"template": checkout.remote if copied else checkout.root}
        if checkout.subdirectory:
            known["subdirectory"] = checkout.subdirectory
        known |= {"commit": checkout.commit, **({"dirty": True} if checkout.dirty else {})}
    public = {key: value for key, value in answers.items() if not key.startswith("_")}
    return {**known, "version": template_version(template), "answers": public}


def template_version(template: Path) -> str | None:
    """The version that the template says it is; Python knows no TOML before 3.11."""
    pyproject = template / "pyproject.toml"
    found = VERSION.search(pyproject.read_text(encoding="utf-8")) if pyproject.is_file() else None
    return found[1] if found else None


def remember(project: Path) -> Iterator[Note]:
    """Write where the service comes from into the service."""
    text = json.dumps(origin(ANSWERS, TEMPLATE), indent=2, ensure_ascii=False)
    (project / ".template.json").write_text(f"{text}\n", encoding="utf-8", newline="\n")
    return iter(())


# The lock


def uv_commands() -> Iterator[str]:
    """Every uv to try: what `uv run` says it is, then each on PATH, where some are empty shims."""
    if os.environ.get("UV"):
        yield os.environ["UV"]
    for folder in os.get_exec_path():
        if found := shutil.which("uv", path=folder):
            yield found


def uv_lock(project: Path, *options: str) -> subprocess.CompletedProcess[str] | None:
    """The outcome of `uv lock`, by the first uv that works; None when there is none."""
    for uv in uv_commands():
        result = run([uv, "lock", *options], project, LOCK_SECONDS)
        if result.returncode not in CANNOT_RUN:
            return result
    return None


def lock(project: Path) -> Iterator[Note]:
    """Lock the service's dependencies, from uv's cache if there is no network."""
    print("Locking the dependencies with uv ...", flush=True)
    result = uv_lock(project)
    if result is None:
        yield Note("There is no uv, which the service needs. Install it, then run:", LOCK.later)
    elif result.returncode != 0:
        why = reason(result.stderr)
        cached = uv_lock(project, "--offline")
        if cached and cached.returncode == 0:
            yield Note(f"Locked from uv's cache ({why}). Later run:", ("uv lock --upgrade",))
        else:
            yield Note(f"uv could not lock the dependencies ({why}). Later run:", LOCK.later)


def reason(output: str) -> str:
    """The one line of a command's complaints that says most."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("error", "fatal"))]
    return (errors or lines or ["no reason given"])[0]


# The repository


def commit(project: Path) -> Iterator[Note]:
    """Make the service a git repository with one commit, unless it lies in a repository already."""
    around = repository_around(project)
    if around:
        yield Note(f"The service lies in the repository {around}, which has to commit it.")
        return
    if shutil.which("git") is None:
        yield Note("There is no git. Once there is, run:", COMMIT.later)
        return
    for command in (
        ["init", "--quiet"],
        ["symbolic-ref", "HEAD", "refs/heads/main"],
        ["add", "--all"],
        [*commit_settings(project), "commit", "--quiet", "--message", FIRST_COMMIT],
    ):
        result = run(["git", *command], project, GIT_SECONDS)
        if result.returncode != 0:
            yield Note(f"git could not commit ({reason(result.stderr)}). Later run:", COMMIT.later)
            return


def repository_around(project: Path) -> str | None:
    """The work tree the service lies in, be it one that git does not enter for its owner."""
    owners = (str(folder) for folder in project.parents if (folder / ".git").exists())
    return git("rev-parse", "--show-toplevel", folder=project) or next(owners, None)


def commit_settings(project: Path) -> list[str]:
    """Settings for the first commit: no signature to type for, no hooks, somebody as its author."""
    settings = {"commit.gpgsign": "false", "core.hooksPath": os.devnull}
    for key, answer in {"user.name": "author_name", "user.email": "author_email"}.items():
        if not git("config", "--get", key, folder=project):
            settings[key] = " ".join(str(ANSWERS[answer]).split())
    return [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]


PIN = Step(f"Writing where {ENGINE} comes from", pin_engine, ())
REMEMBER = Step("Writing .template.json", remember, ())
LOCK = Step("Locking the dependencies", lock, ("uv lock",))
COMMIT = Step(
    "The first commit",
    commit,
    ("git init -b main", "git add --all", f'git commit -m "{FIRST_COMMIT}"'),
)


def finish(project: Path, steps: Sequence[Step]) -> Iterator[Note]:
    """Take the steps, whatever happens to one of them; an interrupt leaves out the rest."""
    for number, step in enumerate(steps):
        try:
            yield from step.run(project)
        except KeyboardInterrupt:
            later = tuple(line for rest in steps[number:] for line in rest.later)
            yield Note("Interrupted. The service is there; to finish it, run:", later)
            return
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            yield Note(f"{step.what} failed ({why}). Later run:", step.later)


def ending(project: Path, notes: Sequence[Note]) -> str:
    """What was made, what is left to do, and where to go from here."""
    made = [f"Generated {ANSWERS['service']} in {project}"]
    for note in notes:
        made += ["", f"! {note.text}", *(f"    {line}" for line in note.lines)]
    return "\n".join([*made, "", "Next:", *(f"    {line}" for line in next_commands(project)), ""])


def next_commands(project: Path) -> tuple[str, ...]:
    """The three commands that start working on the service, from the folder the user is in."""
    folder = str(project)
    with contextlib.suppress(KeyError, ValueError):
        folder = str(project.relative_to(os.environ["PWD"]))
    quoted = shlex.quote(folder) if os.name == "posix" else f'"{folder}"'
    return (f"cd {quoted}", "uv run invoke dev", "uv run invoke test")


def main() -> None:
    """Finish the service and say what is left to do."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console may know ASCII only
    project = Path.cwd()
    notes = list(finish(project, (PIN, REMEMBER, LOCK, COMMIT)))
    print(ending(project, notes))


def remove(copy: Path) -> None:
    """Remove the file that cookiecutter has rendered this into, and leaves where it is."""
    with contextlib.suppress(OSError):
        copy.unlink()


if __name__ == "__main__":
    atexit.register(remove, Path(__file__))
    main()
