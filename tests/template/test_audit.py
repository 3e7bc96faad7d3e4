"""`invoke audit` of a generated service, asking a database of vulnerabilities on this machine."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.infra.registry import running
from tests.template.bakes import Baked

VULNERABLE = {
    "id": "GHSA-test-test-test",
    "modified": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "summary": "Answers too much",
    "details": "Answers too much.",
    "affected": [
        {
            "package": {"name": "idna", "ecosystem": "PyPI"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9999"}]},
            ],
        }
    ],
}


@contextmanager
def osv(*vulnerable: str) -> Iterator[tuple[str, list[str]]]:
    """OSV's query, as it is documented: its address, and the packages it was asked about."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            name = json.loads(self.rfile.read(length))["package"]["name"]
            asked.append(name)
            body = json.dumps({"vulns": [VULNERABLE]} if name in vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/query", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def copy(service: Baked, tmp_path: Path) -> Baked:
    """The service, in a folder and an environment that the test may change."""
    folder = tmp_path / service.folder.name
    shutil.copytree(service.folder, folder, ignore=shutil.ignore_patterns(".venv", ".git"))
    own = {"UV_PROJECT_ENVIRONMENT": str(tmp_path / "venv")}
    return replace(service, folder=folder, variables={**service.variables, **own})


def test_a_service_is_audited_by_its_lock(copy: Baked) -> None:
    with running() as registry, osv() as (url, asked):
        query = ("audit", "--", "-s", "osv", "--osv-url", url)
        moving = copy.run("invoke", *query)
        assert moving.returncode == 1
        for line in (
            "ci/Dockerfile:5: python:3.13-slim is a tag, which can move: uv run invoke image.pin",
            "docker:28-cli is a tag",
            "ci/cloud-build-checks.yaml:12: python:3.13 is a tag",
        ):
            assert line in moving.stdout
        assert "No known vulnerabilities found" in moving.stdout

        for repository, tag in (("python", "3.13-slim"), ("python", "3.13"), ("docker", "28-cli")):
            registry.put(f"library/{repository}", tag, "index")
        pinned = copy.passes("invoke", "image.pin", "--registry", registry.host)
        assert "ok=0 changed=6" in pinned

        asked.clear()
        assert "audit: ok" in copy.passes("invoke", *query)
        assert {"fastapi", "asyncpg", "starlette"} <= set(asked)
        assert not {"pytest", "cookiecutter-cloudrun", "orders"} & set(asked)
        asked.clear()
        copy.passes("invoke", "audit", "--dev", *query[1:])
        assert "pytest" in asked

    with osv("idna") as (url, _):
        query = ("audit", "--", "-s", "osv", "--osv-url", url)
        found = copy.run("invoke", *query)
        assert found.returncode == 1
        assert "GHSA-test-test-test" in found.stdout
        copy.passes("invoke", *query, "--ignore-vuln", "GHSA-test-test-test")
