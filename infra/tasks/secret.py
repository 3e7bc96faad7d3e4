"""`invoke secret set NAME`, `invoke secret list`: values go in by standard input, and never out.

A value is never an argument, for other users of a machine can read those.
"""

# ruff: noqa: PLC0415

import re
import sys
from getpass import getpass
from typing import TYPE_CHECKING, Any, override

from invoke.context import Context
from invoke.parser.argument import Argument
from invoke.tasks import Task, task

from infra.project import ProjectError
from infra.report import say
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, SERVICE, friendly

if TYPE_CHECKING:
    from infra.resources.base import Work

SET = "set"
LIST = "list"
NO_NAME = ""
MOST_BYTES = 65536
WIDTH = 30


class NameArgument(Argument):
    """The secret's name, which `set` needs and `list` does not."""

    action: Argument

    @property
    @override
    def value(self) -> Any:
        given = super().value
        return NO_NAME if given is None and self.action.value == LIST else given

    @value.setter
    def value(self, arg: str) -> None:
        self.set_value(arg, cast=True)


class SecretTask(Task[Any]):
    """A task whose second word depends on its first."""

    @override
    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        arguments = super().get_arguments(ignore_unknown_help)
        by_name = {argument.name: argument for argument in arguments}
        plain = by_name["name"]
        name = NameArgument(names=plain.names, positional=True, help=plain.help)
        name.action = by_name["action"]
        return [name if argument is plain else argument for argument in arguments]


@task(
    klass=SecretTask,
    positional=["action", "name"],
    help={
        "action": "set: give a secret a new value, from standard input. list: say which there are.",
        "name": "The secret, or the variable that it is read into.",
        "env": ENV,
        "service": SERVICE,
    },
)
@friendly
def secret(
    context: Context, action: str, name: str, env: str | None = None, service: str | None = None
) -> None:
    """Set a secret's value (set NAME), or list the secrets (list)."""
    if action not in {SET, LIST} or (action == SET and not name):
        raise ProjectError("say invoke secret set NAME, or invoke secret list")
    opened = open_cloud(context, service, env)
    if action == LIST:
        list_secrets(opened)
    else:
        set_secret(opened, name)


def set_secret(opened: Opened, name: str) -> None:
    """Adds a version to a secret."""
    from infra.resources.secrets import add_version, find_secret

    short = short_name(opened, name)
    work = work_on(opened)
    work.reads = None
    if find_secret(work, opened.cloud.names.project, short) is None:
        raise ProjectError(
            f"the secret {short} is not there yet: invoke provision --env {opened.environment.name}"
        )
    value = read_value(short)
    version = add_version(work, opened.cloud.names.secret(short), value)
    is_password = short == opened.cloud.names.password_secret
    command = "provision" if is_password else "deploy"
    say(f"{short}: version {version}. The service gets it with the next")
    say(f"    invoke {command} --env {opened.environment.name}")
    if is_password:
        say(f"    invoke deploy --env {opened.environment.name}")


def short_name(opened: Opened, name: str) -> str:
    """The secret that a name, its own or its variable's, is for. Raises ProjectError."""
    declared = opened.environment.secrets
    password = opened.cloud.names.password_secret
    if name in declared:
        return declared[name]
    if name in {*declared.values(), password}:
        return name
    known = ", ".join(dict.fromkeys([*declared.values(), password]))
    file = f"environments/{opened.environment.name}.yaml"
    raise ProjectError(
        f"{file} declares no secret {name!r}; there are: {known}.\n"
        f"Declare it there, under secrets: as VARIABLE: {name}, and provision"
    )


def read_value(name: str) -> str:
    """The value: typed without an echo at a terminal, else all of standard input but for one
    newline at its end. Raises ProjectError."""
    if sys.stdin.isatty():
        value = ask(name)
    else:
        try:
            value = sys.stdin.buffer.read().decode("utf-8")
        except UnicodeDecodeError:
            raise ProjectError(f"the value of {name} is not UTF-8 text") from None
        value = re.sub(r"\r?\n\Z", "", value)
    if not value:
        raise ProjectError(f"the value of {name} is empty: type it, or give it on standard input")
    if len(value.encode()) > MOST_BYTES:
        raise ProjectError(
            f"the value of {name} is longer than the {MOST_BYTES} bytes Google takes"
        )
    return value


def ask(name: str) -> str:
    """What is typed at the terminal; "" for Ctrl-D."""
    try:
        return getpass(f"Value of {name}: ")
    except EOFError:
        say()
        return ""


def list_secrets(opened: Opened) -> None:
    """A line for each secret: the variable, and the version that is the newest."""
    from infra.resources.secrets import find_versions

    names = {"DATABASE__PASSWORD": opened.cloud.names.password_secret, **opened.environment.secrets}
    versions = find_versions(
        work_on(opened), opened.cloud.names.project, dict.fromkeys(names.values())
    )
    for variable, short in names.items():
        version = versions.get(short)
        env = opened.environment.name
        state = (
            f"version {version}" if version else f"no value: invoke secret set {short} --env {env}"
        )
        say(f"{variable:<{WIDTH}} {short:<{WIDTH}} {state}")


def work_on(opened: Opened) -> "Work":
    """What Secret Manager is called with."""
    from threading import Event

    from infra.resources.base import Reads, Work
    from infra.retry import Retry

    return Work(opened.cloud, Retry(Event()), {}, Reads())
