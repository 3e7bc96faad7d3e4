"""What happens after the files are written: the engine's source, the lock, the first commit.

Whatever is missing on the machine, the service stays and the user is told what to run.
"""

import json
import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.template.hook_helpers import (
    QUESTIONS,
    Generated,
    generate,
    git,
    make_repository,
    make_template,
)

GIT = shutil.which("git")
posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in commands are shell scripts")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "cookiecutter-cloudrun")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


def source(generated: Generated) -> dict[str, Any]:
    """Where the generated service takes its engine from."""
    assert generated.status == 0, generated.output
    text = (generated.folder / "orders/pyproject.toml").read_text(encoding="utf-8")
    value: dict[str, Any] = tomllib.loads(text)["tool"]["uv"]["sources"]["cookiecutter-cloudrun"]
    return value


def log(generated: Generated, format: str = "%an <%ae> %s") -> list[str]:
    """The commits of the generated service."""
    return git(generated.folder / "orders", "log", f"--format={format}").splitlines()


def commands(folder: Path, **scripts: str | None) -> str:
    """A PATH with nothing on it but some commands: scripts of the shell, or git itself."""
    folder.mkdir()
    for name, script in scripts.items():
        if script is None:
            (folder / name).symlink_to(GIT or "")
        else:
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
    return str(folder)


# Everything at hand


def test_a_service_is_pinned_locked_and_committed(template: Path, output: Path) -> None:
    result = generate(template, output, 'author_name=O\'Neil "the" <Boss>')
    assert source(result) == {"path": template.as_posix(), "editable": True}
    assert "cookiecutter-cloudrun" in (output / "orders/uv.lock").read_text(encoding="utf-8")
    assert log(result) == ['O\'Neil "the" Boss <team@example.com> Generate the service']
    assert git(output / "orders", "branch", "--show-current") == "main"
    assert git(output / "orders", "status", "--porcelain") == ""
    assert "uv.lock" in git(output / "orders", "ls-files").splitlines()


def test_the_end_says_where_to_go_on(template: Path, output: Path) -> None:
    result = generate(template, output, cwd=output.parent)
    assert result.output.splitlines()[:2] == [
        "Locking the dependencies with uv ...",
        f"Generated orders in {output / 'orders'}",
    ]
    assert result.output.rstrip().splitlines()[-4:] == [
        "Next:",
        f"    cd {Path('output/orders')}",
        "    uv run invoke dev",
        "    uv run invoke test",
    ]


def test_what_surrounds_cookiecutter_does_not_leak_in(template: Path, output: Path) -> None:
    """`uv run` and git's own hooks set variables that would redirect uv and git."""
    other = output.parent / "other"
    other.mkdir()
    commit = make_repository(other)
    leaks = {
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": str(other / ".git/index"),
        "UV_FROZEN": "1",
        "UV_PROJECT": str(other),
        "UV_PROJECT_ENVIRONMENT": str(other / "venv"),
        "UV_PYTHON": "3.8",
        "VIRTUAL_ENV": str(other / "venv"),
    }
    result = generate(template, output, environment=leaks)
    assert source(result)
    assert (output / "orders/uv.lock").exists()
    assert len(log(result)) == 1
    assert git(other, "rev-parse", "HEAD") == commit
    assert git(other, "status", "--porcelain") == ""


def test_the_users_git_settings_name_the_author_and_stop_nothing(
    template: Path, output: Path
) -> None:
    hooks = output.parent / "git-hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    settings = output.parent / "gitconfig"
    settings.write_text(
        "[user]\nname = Ann\nemail = ann@example.com\n"
        "[commit]\ngpgsign = true\n[gpg]\nprogram = false\n"
        f"[core]\nhooksPath = {hooks.as_posix()}\n[init]\ndefaultBranch = trunk\n"
    )
    result = generate(template, output, environment={"GIT_CONFIG_GLOBAL": str(settings)})
    assert log(result) == ["Ann <ann@example.com> Generate the service"]
    assert git(output / "orders", "branch", "--show-current") == "main"


# Something missing


@posix
def test_without_uv_and_git_the_service_is_there_and_says_what_to_run(
    template: Path, output: Path
) -> None:
    path = commands(output.parent / "bin")
    result = generate(template, output, environment={"PATH": path, "UV": None})
    assert source(result)["path"] == template.as_posix()
    assert "There is no uv" in result.output
    assert "\n    uv lock\n" in result.output
    assert "There is no git" in result.output
    assert "\n    git init -b main\n    git add --all\n    git commit -m" in result.output
    assert not (output / "orders/.git").exists()


@posix
def test_a_uv_that_is_an_empty_shim_is_no_uv(template: Path, output: Path) -> None:
    """As pyenv's is, under a Python that has none: it answers 127."""
    path = commands(output.parent / "bin", uv="exit 127", git=None)
    result = generate(template, output, environment={"PATH": path, "UV": "/nowhere/uv"})
    assert "There is no uv" in result.output
    assert len(log(result)) == 1


@posix
def test_the_next_uv_on_path_is_taken_for_an_empty_shim(template: Path, output: Path) -> None:
    shim = commands(output.parent / "shims", uv="exit 127")
    path = commands(output.parent / "bin", uv=": > uv.lock", git=None)
    result = generate(template, output, environment={"PATH": f"{shim}:{path}", "UV": None})
    assert source(result)
    assert (output / "orders/uv.lock").exists()


def test_without_network_the_service_is_there_and_says_what_to_run(
    tmp_path: Path, output: Path
) -> None:
    template = make_template(tmp_path / "template")
    pyproject = template / "{{cookiecutter.service}}" / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(text.replace("dependencies = []", 'dependencies = ["idna"]'), "utf-8")
    away = {
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_HTTP_RETRIES": "0",
        "UV_NO_CONFIG": "1",
    }
    result = generate(template, output, environment=away)
    assert "idna" in (output / "orders/pyproject.toml").read_text(encoding="utf-8")
    assert "uv could not lock the dependencies" in result.output
    assert "\n    uv lock\n" in result.output
    assert not (output / "orders/uv.lock").exists()
    assert len(log(result)) == 1


@posix
def test_without_network_the_lock_comes_from_uvs_cache(template: Path, output: Path) -> None:
    script = '[ "$2" = --offline ] || { echo "error: no route" >&2; exit 2; }\n: > uv.lock'
    path = commands(output.parent / "bin", uv=script, git=None)
    result = generate(template, output, environment={"PATH": path, "UV": None})
    assert source(result)
    assert "Locked from uv's cache (error: no route)" in result.output
    assert "\n    uv lock --upgrade\n" in result.output
    assert "uv.lock" in git(output / "orders", "ls-files").splitlines()


@posix
def test_a_git_that_fails_is_a_note(template: Path, output: Path) -> None:
    path = commands(output.parent / "bin", git="echo 'fatal: no space' >&2; exit 128")
    result = generate(template, output, environment={"PATH": path, "UV": None})
    assert source(result)
    assert "git could not commit (fatal: no space)" in result.output
    assert "\n    git add --all\n" in result.output


@posix
def test_an_interrupt_keeps_the_service(template: Path, output: Path) -> None:
    path = commands(output.parent / "bin", uv="kill -INT $PPID; sleep 5", git=None)
    result = generate(template, output, environment={"PATH": path, "UV": None})
    assert source(result)
    assert "Interrupted" in result.output
    assert "\n    uv lock\n    git init -b main\n    git add --all\n" in result.output
    assert "uv run invoke dev" in result.output
    assert not (output / "orders/.git").exists()


def test_in_a_repository_there_is_no_second_one(template: Path, output: Path) -> None:
    output.mkdir()
    make_repository(output)
    result = generate(template, output)
    assert source(result)
    assert f"The service lies in the repository {output}" in result.output
    assert not (output / "orders/.git").exists()
    assert (output / "orders/uv.lock").exists()


# Where the engine comes from


def test_a_relative_folder_becomes_absolute_and_is_to_change_before_sharing(
    template: Path, output: Path
) -> None:
    result = generate(".", output, cwd=template)
    assert source(result) == {"path": template.as_posix(), "editable": True}
    assert f"{template}, which only this machine has" in result.output
    assert '\n    cookiecutter-cloudrun = { git = "<URL of the template>"' in result.output


def test_a_checkout_says_the_very_line_to_share(tmp_path: Path, output: Path) -> None:
    template = make_template(tmp_path / "template")
    remote = "https://ann:secret@git.example/acme/cookiecutter-cloudrun.git"
    commit = make_repository(template, remote)
    result = generate(template, output)
    assert source(result)["path"] == template.as_posix()
    url = "https://git.example/acme/cookiecutter-cloudrun.git"
    line = f'    cookiecutter-cloudrun = {{ git = "{url}", rev = "{commit}" }}\n    uv lock\n'
    assert line in result.output
    assert "secret" not in result.output


def test_a_url_is_pinned_to_its_commit_and_locked(tmp_path: Path, output: Path) -> None:
    repository = make_template(tmp_path / "cookiecutter-cloudrun.git")
    commit = make_repository(repository)
    result = generate(repository.as_uri(), output)
    assert source(result) == {"git": repository.as_uri(), "rev": commit}
    assert commit in (output / "orders/uv.lock").read_text(encoding="utf-8")
    assert "only this machine has" not in result.output


def test_credentials_of_the_template_stay_out_of_the_service(tmp_path: Path, output: Path) -> None:
    """A template that cookiecutter cloned earlier, called by its name."""
    repository = make_template(tmp_path / "home/templates/cookiecutter-cloudrun")
    commit = make_repository(repository, "https://ann:secret@git.example/acme/template.git")
    result = generate("cookiecutter-cloudrun", output, environment={"UV_OFFLINE": "1"})
    assert source(result) == {"git": "https://git.example/acme/template.git", "rev": commit}
    assert "secret" not in result.output
    assert remembered(result)["template"] == "https://git.example/acme/template.git"
    assert not any(b"secret" in path.read_bytes() for path in output.rglob("*") if path.is_file())


def test_an_archive_is_taken_as_it_is(template: Path, output: Path) -> None:
    """The folder that cookiecutter unpacks it to is deleted."""
    archive = shutil.make_archive(
        str(output.parent / "template"), "zip", template.parent, template.name
    )
    result = generate(archive, output)
    assert source(result) == {"path": Path(archive).as_posix()}
    assert "template.zip" in (output / "orders/uv.lock").read_text(encoding="utf-8")
    assert "which only this machine has" in result.output


# What it remembers


def remembered(generated: Generated) -> dict[str, Any]:
    """What the generated service knows of its origin, without the answers that are the defaults."""
    assert generated.status == 0, generated.output
    known: dict[str, Any] = json.loads((generated.folder / "orders/.template.json").read_text())
    assert known["answers"].keys() == {key for key in QUESTIONS if not key.startswith("_")}
    known["answers"] = {
        key: value for key, value in known["answers"].items() if key in {"service", "title"}
    }
    return known


def test_a_service_remembers_its_template_commit_and_answers(tmp_path: Path, output: Path) -> None:
    repository = make_template(tmp_path / "cookiecutter-cloudrun.git")
    commit = make_repository(repository)
    result = generate(repository.as_uri(), output, 'title=Päys "n"', "project_dev=my-dev")
    assert remembered(result) == {
        "template": repository.as_uri(),
        "commit": commit,
        "version": "0.1.0",
        "answers": {"service": "orders", "title": 'Päys "n"'},
    }
    assert ".template.json" in git(output / "orders", "ls-files").splitlines()


def test_a_service_of_a_folder_says_whether_it_was_a_commit(tmp_path: Path, output: Path) -> None:
    template = make_template(tmp_path / "templates/cloudrun")
    commit = make_repository(tmp_path / "templates", "https://ann:secret@git.example/t.git")
    known = {
        "template": (tmp_path / "templates").as_posix(),
        "subdirectory": "cloudrun",
        "commit": commit,
        "version": "0.1.0",
        "answers": {"service": "orders", "title": "Orders"},
    }
    assert remembered(generate("cloudrun", output, cwd=template.parent)) == known
    (template / "{{cookiecutter.service}}/new.py").touch()
    again = generate("cloudrun", output.parent / "again", cwd=template.parent)
    assert remembered(again) == known | {"dirty": True}


def test_a_service_of_no_repository_knows_no_commit(template: Path, output: Path) -> None:
    known = remembered(generate(".", output, cwd=template))
    assert (known["template"], known["commit"]) == (template.as_uri(), None)


# The end


def test_the_end_survives_a_console_that_knows_ascii_only(template: Path, tmp_path: Path) -> None:
    output = tmp_path / "ausgabe-größe"
    result = generate(
        template, output, environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert source(result)
    assert "Generated orders in" in result.output
    assert len(log(result)) == 1
