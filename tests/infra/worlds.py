"""Whole worlds, for comparing what a disturbed run leaves behind with what an undisturbed one does.

`snapshot` reads all there is in a project of an emulator. `Fuse` lets so many writes of this
process through and then fails every call, as if it had died; `Losing` loses answers.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from unittest import mock

import requests
from google.auth.transport.requests import AuthorizedSession

from infra.rest import Request, Rest
from tests.emulator.emulators import Emulator

REGION = "europe-west1"
PROJECT = "PROJECT"
"""What stands for the project's id and number."""
LEASES = "cookiecutter-cloudrun/lease-"
type Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

VOLATILE = re.compile(
    r"(?i)etag|uid|uniqueId|oauth2ClientId|(create|update|delete|start|expire)Time|timeCreated|updated"
    r"|mutateTime"
    r"|timeFinalized|timeStorageClassUpdated|effectiveTime|generation|metageneration|observedGeneration"
    r"|settingsVersion|id|ipAddress(es)?|serverCaCert|certInfo|selfLink|mediaLink|uris?|urls"
    r"|latestReadyRevision|latestCreatedRevision|resourceName|lastModifier|creator|lastTransitionTime"
    r"|password|revision|etcVersion|connectionName|dnsName|serviceAccountEmailAddress|trafficStatuses"
    r"|latestCreatedExecution|executionCount|gceZone|md5Hash|crc32c|size|conditions"
)
"""What differs between two runs that did the same."""
GIVEN = re.compile(r"(?<=/alertPolicies/)\d+")
"""Names that the cloud gives."""


def snapshot(host: str, project: str) -> dict[str, Json]:
    """All that is in a project, by what it is; without what differs between two runs."""
    read = Reader(host, project)
    world: dict[str, Json] = {}
    for title, path, key in read.collections():
        world[title] = read.all(path, key)
    world["project policy"] = read.policy(f"cloudresourcemanager/v3/projects/{project}")
    for bucket in names(world["buckets"]):
        path = f"storage/storage/v1/b/{bucket.replace(PROJECT, project)}"
        world[f"policy of bucket {bucket}"] = read.one(f"{path}/iam")
        objects = names(read.all(f"{path}/o", "items"))
        world[f"objects of {bucket}"] = [each for each in objects if not each.startswith(LEASES)]
    for secret in map(last, names(world["secrets"])):
        path = f"secretmanager/v1/projects/{project}/secrets/{secret}"
        world[f"versions of {secret}"] = read.all(f"{path}/versions", "versions")
        world[f"policy of secret {secret}"] = read.one(f"{path}:getIamPolicy")
    for instance in names(world["instances"]):
        path = f"sqladmin/sql/v1beta4/projects/{project}/instances/{instance}"
        world[f"databases of {instance}"] = read.all(f"{path}/databases", "items")
        world[f"users of {instance}"] = read.all(f"{path}/users", "items")
    for service in map(last, names(world["services"])):
        path = f"run/v2/{read.location}/services/{service}"
        world[f"policy of service {service}"] = read.one(f"{path}:getIamPolicy")
    for job in map(last, names(world["jobs"])):
        path = f"run/v2/{read.location}/jobs/{job}"
        world[f"policy of job {job}"] = read.one(f"{path}:getIamPolicy")
    for account in map(last, names(world["accounts"])):
        path = f"iam/v1/projects/{project}/serviceAccounts/{account.replace(PROJECT, project)}"
        world[f"policy of account {account}"] = read.policy(path)
    for repository in map(last, names(world["repositories"])):
        path = f"artifactregistry/v1/{read.location}/repositories/{repository}"
        world[f"policy of images {repository}"] = read.one(f"{path}:getIamPolicy")
    for connection in map(last, names(world["connections"])):
        path = f"cloudbuild/v2/{read.location}/connections/{connection}/repositories"
        world[f"repositories of {connection}"] = read.all(path, "repositories")
    return {title: each for title, each in world.items() if each}


@dataclass
class Reader:
    """Reads a project's world over HTTP, with no code of the engine's."""

    host: str
    project: str
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False
        about = self.session.get(
            f"http://{self.host}/cloudresourcemanager/v3/projects/{self.project}", timeout=60
        ).json()
        self.number = str(about.get("name", "")).rpartition("/")[2]

    @property
    def location(self) -> str:
        """Parent of the regional resources."""
        return f"projects/{self.project}/locations/{REGION}"

    def collections(self) -> list[tuple[str, str, str]]:
        """What there is in a project: a title, the path of its list, and the key in the answer."""
        project, location = f"projects/{self.project}", self.location
        return [
            ("apis", f"serviceusage/v1/{project}/services?filter=state:ENABLED", "services"),
            ("accounts", f"iam/v1/{project}/serviceAccounts", "accounts"),
            ("buckets", f"storage/storage/v1/b?project={self.project}", "items"),
            ("repositories", f"artifactregistry/v1/{location}/repositories", "repositories"),
            ("secrets", f"secretmanager/v1/{project}/secrets", "secrets"),
            ("instances", f"sqladmin/sql/v1beta4/{project}/instances", "items"),
            ("services", f"run/v2/{location}/services", "services"),
            ("jobs", f"run/v2/{location}/jobs", "jobs"),
            ("triggers", f"cloudbuild/v1/{location}/triggers", "triggers"),
            ("connections", f"cloudbuild/v2/{location}/connections", "connections"),
            ("dashboards", f"monitoring/v1/{project}/dashboards", "dashboards"),
            ("alert policies", f"monitoring/v3/{project}/alertPolicies", "alertPolicies"),
        ]

    def all(self, path: str, key: str) -> Json:
        """A list, in order; nothing where its API is not enabled."""
        answer = self.one(path)
        found = answer.get(key) if isinstance(answer, dict) else None
        listed = found if isinstance(found, list) else []
        return sorted(listed, key=in_order)

    def policy(self, path: str) -> Json:
        """The policy of a project, or of an account."""
        return self._of(self.session.post(f"http://{self.host}/{path}:getIamPolicy", json={}))

    def one(self, path: str) -> Json:
        """One answer, normalised."""
        return self._of(self.session.get(f"http://{self.host}/{path}", timeout=60))

    def _of(self, answer: requests.Response) -> Json:
        if answer.status_code in {403, 404}:
            return None
        answer.raise_for_status()
        text = answer.text.replace(self.project, PROJECT)
        if self.number:
            text = text.replace(self.number, PROJECT)
        return normalised(json.loads(GIVEN.sub("N", text)))


def normalised(value: Json, key: str = "") -> Json:
    """What does not differ between two runs that did the same; things without order in order."""
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if not VOLATILE.fullmatch(name)}
        return {name: normalised(each, name) for name, each in sorted(kept.items())}
    if isinstance(value, list):
        things = [normalised(each) for each in value]
        unordered = key == "members" or any(isinstance(each, dict) for each in things)
        return sorted(things, key=in_order) if unordered else things
    return value


def in_order(value: Json) -> str:
    """What things are ordered by."""
    return json.dumps(value, sort_keys=True)


def names(things: Json) -> list[str]:
    """The names of what is in a list."""
    listed = things if isinstance(things, list) else []
    return [str(each["name"]) for each in listed if isinstance(each, dict)]


def last(name: str) -> str:
    """The last part of a full name."""
    return name.rpartition("/")[2]


def is_write(method: str, url: str) -> bool:
    """Whether a request is meant to change anything."""
    path = url.partition("?")[0]
    return method.upper() != "GET" and not path.endswith((":getIamPolicy", ":testIamPermissions"))


class Died(BaseException):
    """The process is no more; nothing of ours may catch it."""


type Send = Callable[[], object]


@contextmanager
def intercepted(hook: Callable[[str, str, Send], object]) -> Iterator[None]:
    """Gives each request of this process to the hook, with what sends it."""
    send, read = AuthorizedSession.request, Rest.send

    def request(
        self: AuthorizedSession, method: str, url: str, *rest: object, **more: object
    ) -> object:
        return hook(method, url, partial(send, self, method, url, *rest, **more))

    def fetch(self: Rest, asked: Request) -> object:
        return hook("GET", asked.path, partial(read, self, asked))

    with (
        mock.patch.object(AuthorizedSession, "request", request),
        mock.patch.object(Rest, "send", fetch),
    ):
        yield


@dataclass
class Fuse:
    """Lets so many writes through, and then nothing any more.

    `committed`: the write at which it blows is still done, and its answer lost.
    """

    writes: int
    committed: bool = False
    blown: bool = False
    count: int = 0
    lock: Lock = field(default_factory=Lock)

    def __call__(self, method: str, url: str, send: Send) -> object:
        with self.lock:
            if self.blown:
                raise Died
            if is_write(method, url):
                self.count += 1
                self.blown = self.count > self.writes
            blows = self.blown
        if not blows:
            return send()
        if self.committed:
            send()
        raise Died


@dataclass
class Losing:
    """Loses the answers to the writes that a pattern finds, once for each URL and method.

    `committed`: the write is done all the same.
    """

    pattern: str
    committed: bool = True
    lost: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def __call__(self, method: str, url: str, send: Send) -> object:
        call = f"{method} {url.partition('?')[0]}"
        with self.lock:
            loses = (
                is_write(method, url)
                and call not in self.lost
                and re.search(self.pattern, call) is not None
            )
            if loses:
                self.lost.append(call)
        if not loses:
            return send()
        if self.committed:
            send()
        raise requests.ConnectionError("the answer was lost")


@contextmanager
def hollow_cloud(folder: Path) -> Iterator[Emulator]:
    """An emulator of the control plane alone."""
    emulator = Emulator(folder).start("--hollow")
    try:
        yield emulator
    finally:
        emulator.stop()


@contextmanager
def fault(emulator: Emulator, **rule: object) -> Iterator[str]:
    """Has a fault in force; its id. What it holds is let go at the end."""
    key = emulator.fault(**rule)
    try:
        yield key
    finally:
        emulator.http().delete(f"/emulator/faults/{key}").raise_for_status()


def holds(emulator: Emulator, key: str) -> bool:
    """Whether a fault is holding a call at this moment."""
    rules = emulator.http().get("/emulator/faults").json()["faults"]
    return any(one["holding"] for one in rules if one["id"] == key)


ENVIRONMENT = """\
project: {project}
region: europe-west1
service:
  name: orders
database:
  deletion_protection: false
trigger:
  repository: acme/orders
  connection: github
  branch: ^main$
"""


def begin(folder: Path, host: str, project: str, *command: str) -> subprocess.Popen[str]:
    """Begins the command itself, in a process of its own and a service's folder."""
    environments = folder / "environments"
    environments.mkdir(exist_ok=True)
    (environments / "stg.yaml").write_text(ENVIRONMENT.format(project=project))
    (folder / "pyproject.toml").touch()
    (folder / "tasks.py").write_text("from infra.tasks import namespace as namespace\n")
    return subprocess.Popen(
        [sys.executable, "-m", "invoke", *(command or ("provision", "--env", "stg"))],
        cwd=folder,
        env={**os.environ, "CLOUD_EMULATOR_HOST": host},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
