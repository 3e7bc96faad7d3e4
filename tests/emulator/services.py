"""Small services for the local cloud to build and run, and how they get there."""

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.api_core.future.polling import POLLING_PREDICATE
from google.api_core.retry import Retry
from google.cloud import artifactregistry_v1, resourcemanager_v3, run_v2
from google.cloud.devtools import cloudbuild_v1
from google.cloud.storage import Client as StorageClient  # type: ignore[import-untyped]

from tests.emulator.emulators import Emulator

REGION = "europe-west1"
PATIENCE = 60.0
POLLING = Retry(
    predicate=POLLING_PREDICATE, initial=0.05, maximum=0.1, multiplier=1, timeout=PATIENCE
)

PYPROJECT = """
[project]
name = "tiny"
version = "0.1.0"
requires-python = ">=3.13"
dependencies = []

[project.scripts]
app = "tiny:main"

[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["tiny"]
"""
LOCK = """
version = 1
revision = 3
requires-python = ">=3.13"

[[package]]
name = "tiny"
version = "0.1.0"
source = { editable = "." }
"""
DOCKERFILE = """
FROM python:3.13-slim AS base
WORKDIR /app

FROM base AS dependencies
RUN pip install --no-cache-dir uv
RUN --mount=type=bind,source=pyproject.toml,target=pyproject.toml \\
    --mount=type=bind,source=uv.lock,target=uv.lock \\
    uv sync --frozen --no-dev --no-install-project

FROM dependencies AS build
COPY pyproject.toml uv.lock LICENSE* ./
COPY tiny tiny
# A comment in between.
RUN uv sync --frozen --no-dev --no-editable \\
    && uv pip check --python .venv

FROM base
ENV PATH=/app/.venv/bin:$PATH \\
    GREETING="hello there" \\
    LISTEN=0.0.0.0
COPY --from=build /app/.venv .venv
COPY db db
USER 10001
EXPOSE 8080
CMD ["app"]
ARG REVISION=unknown
LABEL revision="$REVISION"
"""
DOCKERIGNORE = "*\n!tiny\n!db\n!pyproject.toml\n!uv.lock\n**/.env\n"
# Answers with what it knows of itself and of the request; misbehaves as its variables say.
APP = """
import json, os, signal, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/die":
            os._exit(3)
        if url.path == "/log":
            print(query["line"], flush=True)
        if url.path == "/fail":
            open(os.environ["UNHEALTHY"], "w").close()
        time.sleep(float(query.get("seconds", 0)))
        status = 200
        if url.path == "/health" and os.path.exists(os.environ.get("UNHEALTHY", "")):
            status = 503
        self.answer(status, {
            "path": self.path,
            "pid": os.getpid(),
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "headers": {key.lower(): value for key, value in self.headers.items()},
        })

    def do_POST(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := self.piece():
            self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\\r\\n\\r\\n")

    def piece(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            size = int(self.rfile.readline(), 16)
            data = self.rfile.read(size)
            self.rfile.readline()
            return data
        left = getattr(self, "left", int(self.headers.get("Content-Length", 0)))
        data = self.rfile.read(min(left, 65536))
        self.left = left - len(data)
        return data

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass

def goodbye(*_):
    print(json.dumps({"severity": "NOTICE", "message": "asked to end"}), flush=True)
    if os.environ.get("BEHAVIOUR") != "stubborn":
        os._exit(0)

def main():
    behaviour = os.environ.get("BEHAVIOUR", "")
    signal.signal(signal.SIGTERM, goodbye)
    print("starting", file=sys.stderr, flush=True)
    if behaviour == "exit":
        sys.exit(int(os.environ.get("STATUS", 1)))
    if behaviour == "deaf":
        time.sleep(600)
    if socket := os.environ.get("DATABASE_SOCKET"):
        assert os.path.isdir(socket), f"no such socket folder: {socket}"
    time.sleep(float(os.environ.get("SLOW_START", 0)))
    ThreadingHTTPServer((os.environ["LISTEN"], int(os.environ["PORT"])), Handler).serve_forever()

def work():
    index, count = os.environ["CLOUD_RUN_TASK_INDEX"], os.environ["CLOUD_RUN_TASK_COUNT"]
    print(json.dumps({
        "severity": "INFO", "message": "working", "index": index, "count": count,
        "arguments": sys.argv[1:], "extra": os.environ.get("EXTRA"),
    }), flush=True)
    time.sleep(float(os.environ.get("SECONDS", 0)))
    if os.environ.get("FAIL") == os.environ["CLOUD_RUN_TASK_ATTEMPT"] or "always" in sys.argv:
        sys.exit(7)
"""
FILES = {
    "pyproject.toml": PYPROJECT,
    "uv.lock": LOCK,
    "Dockerfile": DOCKERFILE,
    ".dockerignore": DOCKERIGNORE,
    "tiny/__init__.py": APP,
    "tiny/.env": "SECRET=never copied",
    "db/schema.sql": "SELECT 1",
}


def archive(files: Mapping[str, str]) -> bytes:
    """A .tar.gz of files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Writes files into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def upload(emulator: Emulator, project: str, content: bytes) -> cloudbuild_v1.Source:
    """Puts an archive into a bucket of the project, made if need be."""
    client = bucket_client(emulator, project)
    bucket = client.bucket(f"{project}-source")
    if not bucket.exists():
        client.create_bucket(bucket, location=REGION)
    bucket.blob("source.tgz").upload_from_string(content)
    place = {"bucket": bucket.name, "object_": "source.tgz"}
    return cloudbuild_v1.Source(storage_source=place)


def bucket_client(emulator: Emulator, project: str) -> StorageClient:
    """Storage's own client."""
    arguments = emulator.arguments("storage")
    return StorageClient(
        project=project,
        credentials=arguments["credentials"],
        client_options=arguments["client_options"],
    )


def create_repository(emulator: Emulator, project: str, name: str = "tiny") -> str:
    """A registry. Returns what its images' names begin with."""
    client = artifactregistry_v1.ArtifactRegistryClient(**emulator.arguments("artifactregistry"))
    operation = client.create_repository(
        request={
            "parent": f"projects/{project}/locations/{REGION}",
            "repository_id": name,
            "repository": {"format_": "DOCKER"},
        }
    )
    result(operation)
    return f"{REGION}-docker.pkg.dev/{project}/{name}"


def grant(emulator: Emulator, project: str, role: str, member: str) -> None:
    """Gives a role on the project, as gcloud does it."""
    client = resourcemanager_v3.ProjectsClient(**emulator.arguments("cloudresourcemanager"))
    resource = f"projects/{project}"
    policy = client.get_iam_policy(resource=resource)
    policy.bindings.add(role=role, members=[member])
    client.set_iam_policy(request={"resource": resource, "policy": policy})


def create_build(
    builds: cloudbuild_v1.CloudBuildClient, parent: str, build: Mapping[str, Any]
) -> Any:
    """Begins a build; returns the operation."""
    return builds.create_build(request={"parent": parent, "build": build})


def create_job(jobs: run_v2.JobsClient, parent: str, job_id: str, job: Mapping[str, Any]) -> Any:
    """Begins to make a job; returns the operation."""
    return jobs.create_job(request={"parent": parent, "job_id": job_id, "job": job})


def docker_build(tag: str, *more: str, file: str = "Dockerfile") -> dict[str, Any]:
    """A build step."""
    arguments = ["build", f"--file={file}", f"--tag={tag}", *more, "."]
    return {"name": "docker:28-cli", "entrypoint": "docker", "args": arguments}


def build_image(emulator: Emulator, project: str) -> str:
    """Builds the small service with Cloud Build. Returns the image by digest."""
    registry = create_repository(emulator, project)
    builds = cloudbuild_v1.CloudBuildClient(**emulator.arguments("cloudbuild"))
    tag = f"{registry}/tiny:one"
    operation = create_build(
        builds,
        parent=f"projects/{project}/locations/{REGION}",
        build={
            "source": upload(emulator, project, archive(FILES)),
            "steps": [docker_build(tag)],
            "images": [tag],
        },
    )
    build = result(operation)
    return f"{registry}/tiny@{build.results.images[0].digest}"


def environment(**variables: str) -> list[run_v2.EnvVar]:
    """Variables of a container."""
    return [run_v2.EnvVar(name=name, value=value) for name, value in variables.items()]


def result(operation: Any) -> Any:
    """What an operation gives, asked for often; raises what it ends with."""
    return operation.result(polling=POLLING)


def failure(operation: Any) -> Any:
    """What an operation ends with, None when it succeeds."""
    try:
        result(operation)
    except GoogleAPICallError as error:
        return error
    return None


def eventually[T](condition: Callable[[], T], seconds: float = PATIENCE) -> T:
    """What a condition gives when it is true at last; fails when it is not in time."""
    deadline = monotonic() + seconds
    while not (value := condition()):
        assert monotonic() < deadline, "it did not happen"
        sleep(0.02)
    return value
