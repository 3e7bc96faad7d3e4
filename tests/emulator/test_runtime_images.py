"""What a Dockerfile says, what of a context it gets, and the image that comes of it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.emulator.runtime.context import Context
from infra.emulator.runtime.dockerfile import DockerfileError, expand, parse, within
from infra.emulator.runtime.dockerplan import BuildError, BuildRequest, Plan
from infra.emulator.runtime.images import Reference
from infra.emulator.runtime.tools import NoUvError, find_uv
from tests.emulator.ground import Ground
from tests.emulator.services import FILES, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")


# uv comes by hash, and says what is in the image, as a generated service has it.
BY_HASH = {
    **FILES,
    "uv.txt": "# uv, by hash\nuv==1.0 \\\n    --hash=sha256:0\n",
    ".dockerignore": FILES[".dockerignore"] + "!uv.txt\n",
    "Dockerfile": FILES["Dockerfile"]
    .replace(
        "RUN pip install --no-cache-dir uv\n",
        "RUN --mount=type=bind,source=uv.txt,target=uv.txt \\\n"
        "    pip install --require-hashes -r uv.txt\n",
    )
    .replace(
        "&& uv pip check --python .venv\n",
        "&& uv export --frozen --quiet --format cyclonedx1.5 --output-file sbom.json\n",
    )
    .replace("COPY db db\n", "COPY --from=build /app/sbom.json sbom.json\nCOPY db db\n"),
}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$A-${A}", "1-1"),
        ("${MISSING}", ""),
        ("${MISSING:-word}", "word"),
        ("${A:+word}${MISSING:+word}", "word"),
        (r"\$A", "$A"),
    ],
)
def test_variables_of_a_dockerfile(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


def test_a_label_is_what_its_argument_says_whatever_that_is(tmp_path: Path) -> None:
    said = """Zoë "Z" O'Brien \\ <z@acme.com> $HOME"""
    text = 'FROM python:3.13-slim\nARG BY OF\nLABEL by="$BY" \\\n  of="$OF" plain=x\n'
    request = BuildRequest(tmp_path, arguments={"BY": said})
    file = parse(text, request.arguments)
    plan = Plan(request, file, file.target(None), Context(tmp_path))
    assert plan.config().labels == {"by": said, "of": "", "plain": "x"}


def test_stages_and_their_instructions() -> None:
    file = parse(
        "ARG VERSION=3.13\n"
        "FROM python:${VERSION}-slim AS base\n"
        "RUN one && \\\n# between\n  two\n"
        "from base\n"
        'CMD ["app", "--port", "1"]\n',
        {},
    )
    assert [stage.base for stage in file.stages] == ["python:3.13-slim", "base"]
    assert file.base(file.target(None)) == "python:3.13-slim"
    assert file.stages[0].instructions[0].text.split() == ["one", "&&", "two"]
    assert file.stages[1].instructions[0].items() == ["app", "--port", "1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RUN x", "line 1: RUN before FROM"),
        ("FROM x\nNOPE y", "line 2: unknown instruction: NOPE"),
        ("FROM x\nRUN <<EOF\nEOF", "here-documents"),
        ("FROM x y z w", "FROM takes an image"),
        ("# nothing", "no FROM"),
    ],
)
def test_a_wrong_dockerfile_is_said(text: str, said: str) -> None:
    with pytest.raises(DockerfileError, match=said):
        parse(text, {})


def test_paths_of_an_image() -> None:
    assert within("/app", ".venv") == "/app/.venv"
    assert within("/app", "/x/../y") == "/y"


@pytest.mark.parametrize(
    ("ignore", "kept"),
    [
        ("", {".dockerignore", "a.txt", "src/a.py", "src/.env", "src/deep/b.pyc"}),
        ("*\n!src\n**/.env\n**/*.py[cod]", {"src/a.py"}),
        ("src", {".dockerignore", "a.txt"}),
        ("src/*.py\n# comment\n\n/a.txt", {".dockerignore", "src/.env", "src/deep/b.pyc"}),
        ("**\n!src/deep", {"src/deep/b.pyc"}),
    ],
)
def test_what_a_context_leaves_out(tmp_path: Path, ignore: str, kept: set[str]) -> None:
    files = {"a.txt": "", "src/a.py": "", "src/.env": "", "src/deep/b.pyc": ""}
    write(tmp_path, {**files, ".dockerignore": ignore})
    assert set(Context(tmp_path).files) == kept


def test_what_a_copy_selects(tmp_path: Path) -> None:
    context = Context(write(tmp_path, {"LICENSE.md": "", "src/a.py": "", "src/b/c.py": ""}))
    assert list(context.select("LICENSE*")) == [("LICENSE.md", "LICENSE.md")]
    assert list(context.select("./src")) == [("src/a.py", "a.py"), ("src/b/c.py", "b/c.py")]
    assert not list(context.select("missing"))


def test_image_references() -> None:
    one = Reference.parse("europe-west1-docker.pkg.dev/p/r/deep/name:tag")
    assert (one.tag, one.repository) == ("tag", "projects/p/locations/europe-west1/repositories/r")
    other = Reference.parse("localhost:5000/name@sha256:abc")
    assert (other.name, other.digest, other.repository) == (
        "localhost:5000/name",
        "sha256:abc",
        None,
    )


def test_an_image_holds_what_the_last_stage_copies(bare: Ground, tmp_path: Path) -> None:
    folder = write(tmp_path / "source", BY_HASH)
    lines: list[str] = []

    def run(command: list[str], place: Path, environment: Mapping[str, str]) -> int:
        done = subprocess.run(command, cwd=place, env=environment, check=False, capture_output=True)
        return done.returncode

    image = bare.runtime.image_builder.build(BuildRequest(folder), lines.append, run)
    root = bare.runtime.images.root(image)
    assert {path.name for path in root.iterdir()} == {"app", ".complete"}
    assert {path.name for path in (root / "app").iterdir()} == {".venv", "db", "sbom.json"}
    bill = json.loads((root / "app/sbom.json").read_text("utf-8"))
    assert bill["metadata"]["component"]["name"] == "tiny"
    assert any("pip install --require-hashes -r uv.txt: passed over" in line for line in lines)
    assert (root / "app/.venv/bin/app").exists()
    assert not list(root.rglob(".env"))
    assert image.config.command == ("app",)
    assert image.config.port == 8080
    assert image.config.labels == {"revision": "unknown"}
    assert image.config.environment["GREETING"] == "hello there"
    bare.runtime.images.push(Reference.parse("localhost/x:one"), image)
    assert bare.runtime.images.find("localhost/x:one") == image
    assert bare.runtime.images.find(f"localhost/x@{image.digest}") == image
    bare.runtime.images.delete("localhost/x")
    assert bare.runtime.images.find("localhost/x:one") is None
    assert not root.exists()


def test_a_file_that_asks_pip_for_more_than_uv_is_refused(bare: Ground, tmp_path: Path) -> None:
    more = {**BY_HASH, "uv.txt": f"{BY_HASH['uv.txt']}idna==3\n"}
    request = BuildRequest(write(tmp_path / "source", more))
    with pytest.raises(BuildError, match="no container to run this in: pip install"):
        bare.runtime.image_builder.build(request, lambda line: None, lambda *ran: 0)


def test_a_uv_that_answers_127_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "uv"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    find_uv.cache_clear()
    with pytest.raises(NoUvError):
        find_uv()
    find_uv.cache_clear()
