"""The scene of a rehearsal: a throwaway cloud in which the deployed commit serves.

The commands are those that a person runs, called in this process: whatever ends it ends them.
"""

# ruff: noqa: PLC0415

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from secrets import token_urlsafe
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from infra.causes import Cause
from infra.emulator.postgres import Server, binaries
from infra.emulator.postgres.lock import FolderLock
from infra.emulator.postgres.psql import Login
from infra.project import Project, ProjectError, environment, find_uv
from infra.release import ReleaseError
from infra.report import complain, step
from infra.retry import impatient
from infra.tasks.deploy import deploy
from infra.tasks.local_cloud import HOST_VARIABLE, remove, scratch_cloud, stop
from infra.tasks.options import INTERRUPTED
from infra.tasks.provision import provision
from infra.tasks.scratch import remove_folder, variable

if TYPE_CHECKING:
    from infra.environment import Environment
    from infra.rehearsal.facts import Ran
    from infra.rehearsal.psql import Psql
    from infra.resources.base import Work

HEALTH = "/health"
SEED = Path("tests/rehearsal/seed.py")
STAND_INS = Path("tests/rehearsal/secrets.yaml")
DURABLE = "CLOUD_EMULATOR_DURABLE"
PROPAGATION_SECONDS = 3.0
ADMIN = "cloudsqladmin"
ROLE = "rehearsedRole"
NOTHING: Mapping[str, str] = MappingProxyType({})
PREFIX = "cookiecutter-cloudrun-rehearsal-"
LOCK = "lock"
STATE = "cloud"
DEPLOYED = "deployed"
# In prd the service does not publish the document.
OPENAPI = "import json; from src import app; print(json.dumps(app.openapi()))"


@dataclass(frozen=True)
class Scene:
    """A cloud in which a commit of a service serves, and what it is asked for."""

    context: Context
    state: Path
    deployed: "Environment"
    url: str
    paths: tuple[str, ...]


@contextmanager
def own_folder() -> Iterator[Path]:
    """A temporary folder, removed with all that is in it; and those of rehearsals that were
    killed."""
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        tidy(old)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = FolderLock(folder / LOCK)
    lock.acquire()
    try:
        yield folder
    finally:
        lock.close()
        remove_folder(folder)


def tidy(folder: Path) -> None:
    """Removes what a rehearsal left that is no more: its lock is free.

    A folder of somebody else, who may have named it so, is neither entered nor believed.
    """
    is_ours = not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid()
    if not is_ours or folder.is_symlink() or not (folder / LOCK).is_file():
        return
    lock = FolderLock(folder / LOCK)
    try:
        if lock.acquire():
            stop(folder / STATE)
            remove(folder / STATE)
            remove_folder(folder)
    finally:
        lock.close()


def set_scene(  # noqa: PLR0913, PLR0917
    context: Context,
    project: Project,
    env: str,
    commit: str,
    folder: Path,
    put_away: ExitStack,
) -> Scene:
    """Starts a throwaway cloud in the folder, and provisions, releases and seeds the commit there.

    Raises ProjectError for a commit that does not have the environment, and ReleaseError when it
    can't be brought up.
    """
    from infra.environment import load
    from infra.rehearsal import baseline

    if not baseline.has(project.folder, commit, f"environments/{env}.yaml"):
        raise ProjectError(
            f"the commit {commit[: baseline.SHORT]} has no environments/{env}.yaml, so nothing of "
            "it can be deployed there: name one that has with --from"
        )
    old = Project(folder / DEPLOYED)
    baseline.export(project.folder, commit, old.folder)
    declared = load(old.folder, env)
    state = folder / STATE
    with step("start a throwaway cloud"):
        put_away.enter_context(variable(DURABLE, "0"))
        # What is granted there is known at once.
        put_away.enter_context(impatient(Cause.PROPAGATING, PROPAGATION_SECONDS))
        cloud = put_away.enter_context(scratch_cloud(state))
        put_away.enter_context(variable(HOST_VARIABLE, cloud.host))
        if declared.impersonate:
            let_act(declared, old.folder)
    where = {"env": env, "service": str(old.folder)}
    with step("provision what is deployed"):
        must(call(provision, context, **where))
    work = as_owner(declared)
    values = made_up(declared.secrets.values(), read_stand_ins(project.folder))
    give(work, values)
    with step("release what is deployed"):
        must(call(deploy, context, **where))
    from infra.release.live import get_service

    url = get_service(work).uri.rstrip("/")
    own = {each: values[secret] for each, secret in declared.secrets.items()} | declared.config
    variables = {**own, "SERVICE_URL": url, **database_variables(work, state)}
    printed = seed((old, project), variables)
    return Scene(context, state, declared, url, tuple(paths(old, url, printed, own)))


def call(command: Task[Callable[..., None]], context: Context, **options: object) -> "Ran":
    """Runs a command as a person does, and keeps what it prints. Raises KeyboardInterrupt when it
    was interrupted."""
    from infra.rehearsal.facts import Ran

    printed, status, said = StringIO(), 0, ""
    started = perf_counter()
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            command(context, **options)
        except Exit as end:
            status, said = end.code, end.message or ""
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return Ran(command.name, status, said, printed.getvalue(), perf_counter() - started)


def must(ran: "Ran") -> None:
    """Raises ReleaseError with all that it printed when a command has failed."""
    if ran.status:
        output = "\n".join(f"  {line}" for line in ran.output.splitlines())
        raise ReleaseError(
            f"what is deployed can't be brought up here, so nothing can be released over it: "
            f"invoke {ran.name} failed\n{output}\n{ran.said}"
        )


def as_owner(declared: "Environment") -> "Work":
    """What calls the throwaway cloud as its owner, whoever the environment acts as."""
    from threading import Event

    from infra.cloud import Cloud
    from infra.resources.base import Work
    from infra.retry import Retry

    return Work(Cloud(declared.model_copy(update={"impersonate": None})), Retry(Event()), {})


def let_act(declared: "Environment", folder: Path) -> None:
    """Makes the account that the environment acts as, with the role that `invoke doctor --role`
    prints for what is deployed: who provisions more than that has to grant more first."""
    from google.iam.v1 import iam_policy_pb2  # type: ignore[import-untyped]

    from infra.doctor.role import least
    from infra.stack import stack

    email = declared.impersonate or ""
    name, _, project = email.partition("@")
    home = f"projects/{project.partition('.')[0]}"
    owner = as_owner(declared).cloud
    iam = f"{owner.url('iam')}/v1"
    permissions = least(stack(declared, folder))
    target = f"projects/{declared.project}"
    accounts = f"{iam}/{home}/serviceAccounts"
    owner.session.post(accounts, json={"accountId": name}).raise_for_status()
    role = {"title": ROLE, "includedPermissions": permissions}
    roles = f"{iam}/{target}/roles"
    owner.session.post(roles, json={"roleId": ROLE, "role": role}).raise_for_status()
    policy = owner.projects.get_iam_policy(resource=target)
    policy.bindings.add(role=f"{target}/roles/{ROLE}", members=[f"serviceAccount:{email}"])
    request = iam_policy_pb2.SetIamPolicyRequest(resource=target, policy=policy)
    owner.projects.set_iam_policy(request)


def made_up(secrets: Iterable[str], stand_ins: Mapping[str, str]) -> dict[str, str]:
    """A value for each of the secrets: its stand-in, else one that means nothing."""
    return {name: stand_ins.get(name) or token_urlsafe() for name in sorted(set(secrets))}


def give(work: "Work", values: Mapping[str, str]) -> None:
    """Gives each secret its value unless it has one; one that isn't there is made."""
    from infra.resources.secrets import add_version, find_secret, find_versions

    names = work.cloud.names
    known = find_versions(work, names.project, values)
    for secret, value in values.items():
        if secret in known:
            continue
        if find_secret(work, names.project, secret) is None:
            make_secret(work, secret)
        add_version(work, names.secret(secret), value)


def make_secret(work: "Work", name: str) -> None:
    """A secret of nobody's, as one of another team is."""
    from google.cloud import secretmanager_v1

    automatic = secretmanager_v1.Replication(
        automatic=secretmanager_v1.Replication.Automatic(),
    )
    request = secretmanager_v1.CreateSecretRequest(
        parent=f"projects/{work.cloud.names.project}",
        secret_id=name,
        secret=secretmanager_v1.Secret(replication=automatic),
    )
    work.call(f"create the secret {name}", lambda: work.cloud.secrets.create_secret(request))


def read_stand_ins(folder: Path) -> Mapping[str, str]:
    """The values that the service's rehearsal gives its secrets, by the secret's name."""
    from infra.yaml_file import YamlError, YamlFile

    path = folder / STAND_INS
    if not path.is_file():
        return {}
    try:
        value = YamlFile.read(path).value
    except YamlError as error:
        raise ProjectError(f"{STAND_INS}:{error.line}: {error}") from None
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ProjectError(f"{STAND_INS}: must hold names of secrets, and a text for each")
    return {name: str(text) for name, text in value.items()}


def python(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the Python of the service in the folder, installed as its image is."""
    return subprocess.run(
        [find_uv(), "run", "--quiet", "--frozen", "--no-dev", "python", *arguments],
        cwd=folder,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def seed(trees: tuple[Project, Project], variables: Mapping[str, str]) -> str:
    """Runs the first seed that the trees have, with the Python of the first: what is deployed.
    Returns what it printed.

    Raises ReleaseError when it fails.
    """
    script = next((each.folder / SEED for each in trees if (each.folder / SEED).is_file()), None)
    if script is None:
        return ""
    with step(f"seed, {SEED}"):
        done = python(trees[0].folder, str(script), **variables)
    if done.returncode:
        raise ReleaseError(f"{SEED} fails:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def psql_of(state: Path, declared: "Environment") -> "Psql":
    """How the service's database is asked, as the server's own superuser."""
    from infra.rehearsal.psql import Psql

    place = state / "sql" / declared.project.rpartition(":")[2] / declared.database.instance
    password = (place / "admin").read_text("utf-8")
    # It runs already: this joins it, and leaves it running.
    with Server(place, user=ADMIN, password=password) as server:
        login = Login(server.host, server.port, server.user, server.password)
        variables = binaries.environment() | login.variables(declared.database.name)
        return Psql(str(server.binaries.program("psql")), variables)


def database_variables(work: "Work", state: Path) -> dict[str, str]:
    """The settings with which the service's own code reaches its database from this machine."""
    from infra.resources.secrets import read_version

    names = work.cloud.names
    declared = names.environment
    psql = psql_of(state, declared)
    return {
        "DATABASE__HOST": psql.variables["PGHOST"],
        "DATABASE__PORT": psql.variables["PGPORT"],
        "DATABASE__NAME": declared.database.name,
        "DATABASE__USER": declared.database.user,
        "DATABASE__PASSWORD": read_version(work, names.secret(names.password_secret), "latest"),
    }


def paths(old: Project, url: str, printed: str, own: Mapping[str, str]) -> Iterator[str]:
    """What the load asks for: /health, what the API lists without a parameter, and the lines of
    the seed's output that are paths; of these, what is answered well by what is deployed.

    `own` are the variables that the service needs to be imported.
    """
    from infra.rehearsal.load import paths_of, try_each

    wanted = [HEALTH]
    document = python(old.folder, "-c", OPENAPI, **own)
    if document.returncode:
        last = document.stderr.strip().splitlines()[-1:]
        complain(f"warning: its OpenAPI document can't be had, {HEALTH} alone is called: {last}")
    else:
        wanted += paths_of(json.loads(document.stdout.splitlines()[-1]))
    wanted += [line.strip() for line in printed.splitlines() if line.startswith("/")]
    answers = try_each(url, list(dict.fromkeys(wanted)))
    for path, status in answers.items():
        if status is not None and status < 400:
            yield path
        elif path == HEALTH:
            raise ReleaseError(f"what is deployed answers GET {path} with {status or 'nothing'}")
        else:
            complain(f"  not called: GET {path}, which is answered {status or 'by nobody'} already")
