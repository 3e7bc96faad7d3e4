"""The image: what its Dockerfile promises, and what uv puts into it without Docker."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.template.delivery import DELIVERY, load
from tests.template.ignores import dockerignore_rules, left_out
from tests.template.images import Stage, build, stages, uv_environment


def test_the_image_runs_unprivileged_by_number(folder: Path) -> None:
    (user,) = stages(folder / "ci/Dockerfile")["image"].all("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)


def test_the_image_starts_the_server_itself(folder: Path) -> None:
    (command,) = stages(folder / "ci/Dockerfile")["image"].all("CMD")
    assert json.loads(command) == ["app"]


def test_the_image_holds_the_environment_and_the_migrations_but_no_build_tools(
    folder: Path,
) -> None:
    known = stages(folder / "ci/Dockerfile")
    image: Stage = known["image"]
    assert image.all("COPY") == [
        "--from=build /app/.venv .venv",
        "--from=build /app/sbom.cdx.json sbom.cdx.json",
        "db db",
    ]
    assert not re.search(r"\b(uv|pip|apt-get|gcc)\b", "\n".join(image.all("RUN")))
    assert image.base == known["dependencies"].base == "base"


def test_the_image_does_not_write_to_its_root(folder: Path) -> None:
    (settings,) = stages(folder / "ci/Dockerfile")["image"].all("ENV")
    assert "PYTHONDONTWRITEBYTECODE=1" in settings
    assert load(folder / "docker-compose.yml")["services"]["app"]["read_only"] is True


def test_the_context_holds_what_is_copied(folder: Path) -> None:
    known = stages(folder / "ci/Dockerfile")
    copied = {
        word
        for stage in known.values()
        for argument in stage.all("COPY")
        if not argument.startswith("--from")
        for word in argument.split()[:-1]
    }
    assert copied
    assert not left_out(dockerignore_rules(folder), copied)


# Locked with hashes


def test_every_locked_package_has_its_hash(folder: Path) -> None:
    lock = tomllib.loads((folder / "uv.lock").read_text("utf-8"))
    fetched = [package for package in lock["package"] if "registry" in package["source"]]
    files = [
        file
        for package in fetched
        for file in [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
    ]
    assert len(files) > len(fetched) > 50
    assert all(file["hash"].startswith("sha256:") for file in files)


def test_nothing_enters_the_image_but_by_hash(folder: Path) -> None:
    known = stages(folder / "ci/Dockerfile")
    commands = [
        command
        for stage in known.values()
        for argument in stage.all("RUN")
        for command in re.sub(r"--mount=\S+", "", argument).split("&&")
    ]
    installing = [shlex.split(command) for command in commands if "install" in command.split()]
    assert installing
    assert all("--require-hashes" in words for words in installing)
    syncing = [command.split() for command in commands if command.split()[:2] == ["uv", "sync"]]
    assert len(syncing) == 2
    assert all("--frozen" in words for words in syncing)
    (uv,) = re.findall(r"^uv==\S+", (folder / "ci/uv.txt").read_text(), re.M)
    assert uv


# A real run of the Dockerfile's uv commands


@pytest.fixture(params=["a folder", "a git repository"])
def small_service(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Path:
    """A small service whose engine, a development dependency, is gone since it was locked."""
    engine = tmp_path / "engine"
    write(
        engine / "pyproject.toml",
        """
        [project]
        name = "engine"
        version = "1.0"
        requires-python = ">=3.13"
        dependencies = ["iniconfig"]
        [build-system]
        requires = ["hatchling>=1.27"]
        build-backend = "hatchling.build"
        """,
    )
    write(engine / "engine/__init__.py", "")
    source = 'path = "../engine", editable = true'
    if request.param == "a git repository":
        source = f'git = "{engine.as_uri()}"'
        author = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=0"]
        for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "engine"]):
            subprocess.run(["git", *command], cwd=engine, check=True)

    small = tmp_path / "orders"
    write(
        small / "pyproject.toml",
        f"""
        [project]
        name = "orders"
        version = "0.1.0"
        readme = "README.md"
        requires-python = ">=3.13"
        dependencies = ["idna"]
        scripts.app = "src:server"
        [dependency-groups]
        dev = ["engine"]
        [tool.uv.sources]
        engine = {{ {source} }}
        [build-system]
        requires = ["hatchling>=1.27"]
        build-backend = "hatchling.build"
        [tool.hatch.build.targets.wheel]
        packages = ["src"]
        """,
    )
    write(
        small / "src/__init__.py", "import idna\ndef server():\n    print(__file__, idna.__name__)"
    )
    write(small / "README.md", "# orders")
    write(small / "db/alembic.ini", "")
    write(small / ".env", "DATABASE__PASSWORD=secret")
    write(small / "src/.env", "DATABASE__PASSWORD=secret")
    for name in DELIVERY:
        (small / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / name, small / name)
    lock = subprocess.run(
        ["uv", "lock"],
        cwd=small,
        env=uv_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert lock.returncode == 0, lock.stderr
    shutil.rmtree(engine)
    return small


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("\n        ", "\n"))


def test_the_image_is_built_without_the_engine_and_without_development_packages(
    small_service: Path, tmp_path: Path
) -> None:
    image = tmp_path / "app"
    build(small_service, small_service / "ci/Dockerfile", "build", image)
    (packages,) = (image / ".venv/lib").glob("python3*/site-packages")
    distributions = {path.name.split("-")[0] for path in packages.glob("*.dist-info")}
    assert distributions == {"idna", "orders"}
    assert list((packages / "src").rglob("__init__.*.pyc"))
    assert not list(image.rglob(".env"))
    bill = json.loads((image / "sbom.cdx.json").read_text("utf-8"))
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "orders")
    assert [component["name"] for component in bill["components"]] == ["idna"]

    shutil.rmtree(image / "src")
    app = subprocess.run([image / ".venv/bin/app"], capture_output=True, text=True, check=True)
    assert app.stdout.split() == [str(packages / "src/__init__.py"), "idna"]


@pytest.mark.parametrize("small_service", ["a folder"], indirect=True)
def test_a_validated_lock_would_need_the_engine(small_service: Path, tmp_path: Path) -> None:
    """Why the Dockerfile says --frozen; when uv can do without, it may say --locked."""
    dockerfile = small_service / "ci/Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("--frozen", "--locked"))
    with pytest.raises(subprocess.CalledProcessError) as failure:
        build(small_service, dockerfile, "dependencies", tmp_path / "app")
    assert "engine" in failure.value.stderr


@pytest.mark.parametrize("small_service", ["a folder"], indirect=True)
def test_a_dependency_that_is_not_locked_fails_the_build(
    small_service: Path, tmp_path: Path
) -> None:
    project = small_service / "pyproject.toml"
    project.write_text(project.read_text().replace('["idna"]', '["idna", "iniconfig"]'))
    with pytest.raises(subprocess.CalledProcessError) as failure:
        build(small_service, small_service / "ci/Dockerfile", "build", tmp_path / "app")
    assert "iniconfig" in failure.value.stderr


@pytest.mark.parametrize("small_service", ["a folder"], indirect=True)
def test_a_package_that_is_not_the_one_that_was_locked_fails_the_build(
    small_service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = small_service / "uv.lock"
    text = lock.read_text("utf-8")
    lock.write_text(re.sub(r'"sha256:[0-9a-f]{64}"', f'"sha256:{"0" * 64}"', text), "utf-8")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(subprocess.CalledProcessError) as failure:
        build(small_service, small_service / "ci/Dockerfile", "dependencies", tmp_path / "app")
    assert "Hash mismatch" in failure.value.stderr
