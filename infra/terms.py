"""A resource's fields in the words of the environment file, for whoever reads what changes.

A field is called by the file's name only where the file's value is what the resource is to have;
anything else keeps Google's path. What is secret is not told.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from infra.environment import Environment
from infra.events import SENSITIVE, Field
from infra.resources import shape
from infra.resources.base import Difference, Resource
from infra.resources.iam import Grants, unpath
from infra.yaml_file import Value

UNDECLARED = "not declared"
CONTAINER = r"(?:template\.)+containers\.[^.]+\."
VARIABLE = re.compile(rf"{CONTAINER}env\.(.+)")
SECRET = re.compile(r"secret [A-Za-z0-9_-]{1,255}")
SQL_VOLUME = r"(?:template\.)+volumes\.cloudsql\.cloudSqlInstance\.instances"


def same(value: Value) -> Value:
    """A value that the file and Google write alike."""
    return value


def lower(value: Value) -> Value:
    """A region, which Cloud Storage has in capitals."""
    return str(value).lower()


def seconds(value: Value) -> Value:
    """A duration, which Google writes 300s."""
    return int(float(str(value).removesuffix("s")))


def ingress(value: Value) -> Value:
    """The networks that are let in."""
    return {
        "INGRESS_TRAFFIC_ALL": "all",
        "INGRESS_TRAFFIC_INTERNAL_ONLY": "internal",
        "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER": "internal-and-cloud-load-balancing",
    }.get(str(value), value)


def cpu(value: Value) -> Value:
    """vCPUs, which Google may write 1000m."""
    return shape.plain(value, "cpu")


def instance(value: Value) -> Value:
    """An instance, of its connection name or a list of them."""
    first = value[0] if isinstance(value, list) and value else value
    return str(first).rpartition(":")[2]


def remote(value: Value) -> Value:
    """A repository, of its address."""
    return str(value).removeprefix("https://github.com/").removesuffix(".git")


def connection(value: Value) -> Value:
    """A connection, of the full name of a repository that it has."""
    return str(value).partition("/connections/")[2].partition("/")[0]


def repository(value: Value) -> Value:
    """A repository's id, of its full name: its slash is a hyphen."""
    return str(value).rpartition("/")[2]


@dataclass(frozen=True)
class Term:
    """What a path of Google's is called in the environment file."""

    path: re.Pattern[str]
    field: str
    """The file's name; `{}` stands for what the path has in its group."""
    say: Callable[[Value], Value] = same
    """A value of Google's as the file has it."""
    hyphens: bool = False
    """Whether Google has hyphens where the file has slashes and dots."""

    def fields(self, difference: Difference, environment: Environment) -> Iterator[Field]:
        """The field of the file, if it is what the difference is about."""
        match = self.path.fullmatch(difference.path)
        if not match:
            return
        name = self.field.format(*match.groups())
        old, new = (
            None if each is None or each == "" else self.say(each)
            for each in (difference.old, difference.new)
        )
        wanted = written(environment, name)
        if self.hyphens:
            wanted = re.sub("[/.]", "-", text(wanted))
        if old != new and text(wanted) == text(new):
            yield Field(name, old, new)


def text(value: Value) -> str:
    """A value for comparing: nothing is the same as no text."""
    return "" if value is None else str(value)


def term(path: str, field: str, say: Callable[[Value], Value] = same, **more: bool) -> Term:
    """A row of the table."""
    return Term(re.compile(path), field, say, **more)


def present(value: Value) -> Value:
    """Whether there is something."""
    return True if value else None


OF_RUN = [
    term(rf"{CONTAINER}resources\.limits\.cpu", "service.cpu", cpu),
    term(rf"{CONTAINER}resources\.limits\.memory", "service.memory"),
    term(rf"{CONTAINER}env\.DATABASE__HOST", "database.instance", instance),
    term(rf"{CONTAINER}env\.DATABASE__NAME", "database.name"),
    term(rf"{CONTAINER}env\.DATABASE__USER", "database.user"),
    term(rf"{CONTAINER}env\.GOOGLE_CLOUD_PROJECT", "project"),
    term(SQL_VOLUME, "database.instance", instance),
]
TERMS = {
    "bucket": [term("location", "region", lower)],
    "sql instance": [
        term("region", "region"),
        term("databaseVersion", "database.version"),
        term(r"settings\.edition", "database.edition"),
        term(r"settings\.tier", "database.tier"),
        term(r"settings\.availability", "database.availability"),
        term(r"settings\.deletionProtection", "database.deletion_protection"),
        term(r"settings\.(?:backups|pointInTimeRecovery)", "database.backups"),
        term(r"settings\.flags\.(.+)", "database.flags.{}"),
    ],
    "repository": [term("remoteUri", "trigger.repository", remote)],
    "trigger": [
        term("repository", "trigger.connection", connection),
        term("repository", "trigger.repository", repository, hyphens=True),
        term("branch", "trigger.branch"),
        term("tag", "trigger.tag"),
        term("pullRequest", "trigger.branch"),
        term(r"substitutions\._ENVIRONMENT", "trigger.deploy", present),
        term(r"substitutions\._REGION", "region"),
    ],
    "service": [
        *OF_RUN,
        term("ingress", "service.ingress", ingress),
        term(r"template\.scaling\.minInstanceCount", "service.min_instances"),
        term(r"template\.scaling\.maxInstanceCount", "service.max_instances"),
        term(r"template\.maxInstanceRequestConcurrency", "service.concurrency"),
        term(r"template\.timeout", "service.timeout", seconds),
    ],
    "job": OF_RUN,
    "alert policy": [
        term("threshold", "monitoring.error_ratio"),
        term("threshold", "monitoring.latency_ms"),
    ],
}
NOTIFIED = ("alert policy", "notificationChannels")
"""The list of whom an alert tells."""
SECRETS = {("database user", "password")}
"""Fields whose values are told to nobody."""


def spoken(resource: Resource, differences: Iterable[Difference]) -> tuple[Field, ...]:
    """The differences of a resource as fields of the environment file, each once."""
    fields: list[Field] = []
    for difference in differences:
        fields += [each for each in of_file(resource, difference) if each not in fields]
    return tuple(fields)


def of_file(resource: Resource, difference: Difference) -> list[Field]:
    """A difference as fields of the environment file, or as Google's field where there is none."""
    environment = resource.names.environment
    if (resource.kind, difference.path) in SECRETS:
        return [Field(difference.path, hidden(difference.old), hidden(difference.new))]
    if isinstance(resource, Grants) and unpath(difference.path)[0] in resource.guarded:
        return [invoker(difference)]
    if (resource.kind, difference.path) == NOTIFIED:
        return [Field("monitoring.notify", difference.old, difference.new)]
    rows = TERMS.get(resource.kind, [])
    found = [field for row in rows for field in row.fields(difference, environment)]
    if not found and (name := VARIABLE.fullmatch(difference.path)):
        return [variable(name[1], difference, environment)]
    return found or [Field(difference.path, difference.old, difference.new)]


def invoker(difference: Difference) -> Field:
    """Who may call the service, one by one."""
    who = unpath(difference.path)[1]
    if difference.new is None:
        return Field("service.invokers", who, None, UNDECLARED)
    return Field("service.invokers", None, who)


def variable(name: str, difference: Difference, environment: Environment) -> Field:
    """An environment variable.

    A plain value that is to become a secret's, or that nobody declared, may be one that somebody
    has set by hand: it is not told.
    """
    old, new = difference.old, difference.new
    was_secret, is_secret = (bool(SECRET.fullmatch(text(each))) for each in (old, new))
    if old is not None and not was_secret and (is_secret or new is None):
        old = SENSITIVE
    if new is None:
        return Field(f"{'secrets' if was_secret else 'config'}.{name}", old, None, UNDECLARED)
    if name in environment.secrets:
        return Field(f"secrets.{name}", old, new)
    if name in environment.config:
        return Field(f"config.{name}", old, new)
    return Field(difference.path, old, new)


def hidden(value: Value) -> Value:
    """What is told of a secret value: whether there is one."""
    return None if value is None else SENSITIVE


def written(environment: Environment, field: str) -> Value:
    """The value of a field of the environment file, None where there is none."""
    value: object = environment
    parts = field.split(".")
    while parts and value is not None:
        if isinstance(value, dict):
            value, parts = value.get(".".join(parts)), []
        elif isinstance(value, BaseModel):
            value = getattr(value, parts.pop(0), None)
        else:
            return None
    found: Value = value if isinstance(value, str | int | float | bool) else None
    return found
