"""`invoke image.pin`: tags become digests, asked of a real registry over HTTP."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.images import docker, pins, registry
from infra.images.reference import Reference
from tests.infra.registry import Registry, running

DOCKERFILE = """\
# FROM nothing/in:comments
ARG VERSION=3
FROM --platform=linux/amd64 python:3.13-slim AS base
FROM base AS build
FROM scratch AS empty
FROM other:${VERSION}
from Python:3.13-slim
"""
BUILD = """\
steps:
  # name: nothing/in:comments
  - id: one
    name: docker:28-cli  # a remark
  - name: "acme.example/tools/lint"
    args: [--name, x]
substitutions:
  _NAME: "x"
"""


@pytest.fixture
def images() -> Iterator[Registry]:
    with running() as registry:
        yield registry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ci").mkdir()
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "tasks.py").write_text("from infra.tasks import namespace as namespace\n")
    return tmp_path


def invoke(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "parts", "path"),
    [
        ("python", ("", "python", "", ""), "library/python"),
        ("python:3.13-slim", ("", "python", "3.13-slim", ""), "library/python"),
        ("acme/tool:1", ("", "acme/tool", "1", ""), "acme/tool"),
        ("localhost/tool", ("localhost", "tool", "", ""), "tool"),
        ("localhost:5000/a/b:1", ("localhost:5000", "a/b", "1", ""), "a/b"),
        ("acme.example/a/b", ("acme.example", "a/b", "", ""), "a/b"),
        (f"x:1@sha256:{'a' * 64}", ("", "x", "1", f"sha256:{'a' * 64}"), "library/x"),
        (f"a.example/x@sha256:{'a' * 64}", ("a.example", "x", "", f"sha256:{'a' * 64}"), "x"),
    ],
)
def test_a_name_has_its_parts(name: str, parts: tuple[str, ...], path: str) -> None:
    image = Reference.parse(name)
    assert (image.registry, image.repository, image.tag, image.digest) == parts
    assert str(image) == name
    assert image.path == path


def test_only_images_from_elsewhere_are_found(folder: Path) -> None:
    (folder / "ci/Dockerfile").write_text(DOCKERFILE)
    (folder / "ci/cloud-build.yaml").write_text(BUILD)
    assert [(str(place), str(place.image)) for place in pins.places(folder)] == [
        ("ci/Dockerfile:3", "python:3.13-slim"),
        ("ci/Dockerfile:7", "Python:3.13-slim"),
        ("ci/cloud-build.yaml:4", "docker:28-cli"),
        ("ci/cloud-build.yaml:5", "acme.example/tools/lint"),
    ]


def test_a_digest_is_written_behind_the_tag_and_renewed(images: Registry, folder: Path) -> None:
    first = images.put("library/python", "3.13-slim", "first")
    tool = images.put("acme/tool", "latest", "tool")
    dockerfile, build = folder / "ci/Dockerfile", folder / "ci/cloud-build.yaml"
    dockerfile.write_text("FROM python:3.13-slim AS base\r\nFROM base\r\n", newline="")
    build.write_text(f"steps:\n  - name: {images.host}/acme/tool  # a remark\n")
    command = ("image.pin", "--registry", images.host)

    checked = invoke(folder, *command, "--check")
    assert (checked.returncode, "changed=2" in checked.stdout) == (3, True), checked.stdout
    assert "@" not in dockerfile.read_text() + build.read_text()

    done = invoke(folder, *command)
    assert done.returncode == 0, done.stdout
    pinned = f"FROM python:3.13-slim@{first} AS base\r\nFROM base\r\n"
    assert dockerfile.read_bytes().decode() == pinned
    assert build.read_text() == f"steps:\n  - name: {images.host}/acme/tool@{tool}  # a remark\n"
    again = invoke(folder, *command, "--check")
    assert (again.returncode, "ok=2 changed=0" in again.stdout) == (0, True), again.stdout

    second = images.put("library/python", "3.13-slim", "second")
    assert invoke(folder, *command, "--check").returncode == 3
    assert invoke(folder, *command).returncode == 0
    assert dockerfile.read_bytes().decode() == pinned.replace(first, second)


def test_nothing_is_written_when_one_is_not_known(images: Registry, folder: Path) -> None:
    images.put("library/python", "3.13-slim", "first")
    text = "FROM python:3.13-slim AS base\nFROM missing:1\n"
    (folder / "ci/Dockerfile").write_text(text)
    done = invoke(folder, "image.pin", "--registry", images.host)
    assert done.returncode == 1
    assert f"error: {images.host}: missing:1: there is no such image" in done.stdout
    assert (folder / "ci/Dockerfile").read_text() == text


def test_a_token_is_fetched_for_the_repository_alone(images: Registry) -> None:
    digest = images.put("library/python", "3", "x")
    assert registry.digest(Reference.parse("python:3"), images.host) == digest
    assert images.asked == [
        "HEAD /v2/library/python/manifests/3",
        "GET /token?service=registry.test&scope=repository%3Alibrary%2Fpython%3Apull",
        "HEAD /v2/library/python/manifests/3",
    ]


def test_a_registry_that_tells_no_digest_is_asked_for_the_manifest(images: Registry) -> None:
    images.wants_token, images.tells_digest = False, False
    digest = images.put("a/b", "latest", "x")
    assert registry.digest(Reference.parse(f"{images.host}/a/b"), images.host) == digest
    assert [line.split()[0] for line in images.asked] == ["HEAD", "GET"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"gives_token": False}, "gives nobody a token"),
        ({"host": "127.0.0.1:9"}, "could not be asked for python:3"),
    ],
)
def test_what_goes_wrong_is_said(images: Registry, broken: dict[str, str], said: str) -> None:
    images.put("library/python", "3", "x")
    for name, value in broken.items():
        setattr(images, name, value)
    with pytest.raises(registry.RegistryError, match=said):
        registry.digest(Reference.parse("python:3"), images.host)


def test_a_token_is_not_fetched_in_the_clear() -> None:
    with pytest.raises(registry.RegistryError, match="a login that we do not have"):
        registry.token(None, 'Bearer realm="http://a.example/token"', "https")  # type: ignore[arg-type]


# Without a registry's name


def program(folder: Path, name: str, script: str) -> str:
    """A folder of one program, for PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for docker is a shell script")
def test_docker_is_asked_where_no_registry_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = f"sha256:{'b' * 64}"
    echo = f"""echo "$@" > {tmp_path}/asked; echo '{{"digest": "{digest}"}}'"""
    monkeypatch.setenv("PATH", program(tmp_path / "bin", "docker", echo))
    assert docker.digest(Reference.parse("python:3.13-slim")) == digest
    words = "buildx imagetools inspect --format {{json .Manifest}} python:3.13-slim"
    assert (tmp_path / "asked").read_text().strip() == words


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for docker is a shell script")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo starting >&2; echo 'ERROR: no route' >&2; exit 1", "docker says: ERROR: no route"),
        ("echo '{}'", "docker gives no digest"),
        ("""echo '{"digest": "x"}'""", "which is none"),
        (None, "Name a registry, or a mirror, with --registry"),
    ],
)
def test_what_docker_cannot_say_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, said: str
) -> None:
    path = program(tmp_path / "bin", "docker", script) if script else str(tmp_path)
    monkeypatch.setenv("PATH", path)
    with pytest.raises(registry.RegistryError, match=said):
        docker.digest(Reference.parse("python:3.13-slim"))
