"""What happens after the files are written: the engine's source, the lock, the first commit.

Whatever is missing on the machine, the service stays and the user is told what to run.
"""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.template.hook_helpers import (
    REPOSITORY,
    Generated,
    answers,
    generate,
    git,
    load_hook,
    make_repository,
    make_template,
)

HOOKS = sorted((REPOSITORY / "hooks").glob("*.py"))
GIT = shutil.which("git")
posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in commands are shell scripts")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "cookiecutter-cloudrun")


@pytest.fixture
def hook(tmp_path: Path) -> ModuleType:
    """The post_gen hook of a template that lies in a local folder."""
    folder = tmp_path / "hook"
    folder.mkdir()
    return load_hook("post_gen_project", folder, _template="t", _repo_dir="t")


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


# The hooks as files


@pytest.mark.parametrize("path", HOOKS, ids=lambda path: path.name)
def test_a_hook_runs_on_the_oldest_python_that_cookiecutter_takes(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--select=F",
            "--target-version=py310",
            path,
        ],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", HOOKS, ids=lambda path: path.name)
def test_a_hook_needs_the_standard_library_only(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("path", HOOKS, ids=lambda path: path.name)
def test_a_hook_is_ascii_and_jinja_where_it_says_so(path: Path) -> None:
    text = path.read_text(encoding="ascii")
    assert text.count("{{") == text.count('r"""{{ ') == text.count(' | tojson }}"""')
    assert "{%" not in text
    assert "{#" not in text


def test_there_is_no_hook_before_the_questions() -> None:
    """It would copy the whole template, .git and .venv included, on every run."""
    assert [path.stem for path in HOOKS] == ["post_gen_project", "pre_gen_project"]


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


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://git.example/acme/t.git", "https://git.example/acme/t.git"),
        ("https://ann:secret@git.example/acme/t", "https://git.example/acme/t"),
        ("https://secret@git.example:8443/acme/t", "https://git.example:8443/acme/t"),
        ("https://git.example/acme/t?private_token=secret#x", "https://git.example/acme/t"),
        ("http://ann:s%40cret@git.example/t", "http://git.example/t"),
        ("ssh://git@git.example/acme/t.git", "ssh://git@git.example/acme/t.git"),
        ("ssh://git:secret@git.example:22/t.git", "ssh://git@git.example:22/t.git"),
        ("git@git.example:acme/t.git", "ssh://git@git.example/acme/t.git"),
        ("git.example:/srv/t.git", "ssh://git.example/srv/t.git"),
        ("git://git.example/t.git", "git://git.example/t.git"),
        ("file:///srv/t.git", "file:///srv/t.git"),
    ],
)
def test_a_remote_as_a_url_that_anyone_may_read(
    hook: ModuleType, tmp_path: Path, remote: str, url: str
) -> None:
    assert hook.public_url(remote, tmp_path) == url


def test_a_remote_that_is_a_folder_becomes_a_url(hook: ModuleType, tmp_path: Path) -> None:
    assert hook.public_url("../other", tmp_path / "here") == (tmp_path / "other").as_uri()


def test_a_template_in_a_folder_of_its_repository(hook: ModuleType, tmp_path: Path) -> None:
    template = make_template(tmp_path / "templates/cloudrun")
    commit = make_repository(tmp_path, "git@git.example:acme/templates.git")
    line = hook.checkout_source(template)
    assert tomllib.loads(f"source = {line}")["source"] == {
        "git": "ssh://git@git.example/acme/templates.git",
        "rev": commit,
        "subdirectory": "templates/cloudrun",
    }


def test_a_template_that_its_surrounding_repository_does_not_hold(
    hook: ModuleType, tmp_path: Path
) -> None:
    make_repository(tmp_path, "git@git.example:ann/dotfiles.git")
    assert hook.checkout_source(make_template(tmp_path / ".cookiecutters/template")) is None


@pytest.mark.parametrize(
    ("origin", "repo_dir", "folder"),
    [
        (".", ".", True),
        ("./", "./", True),
        ("./", "./sub", True),
        ("/srv/template", "/srv/template", True),
        ("/srv/templates", "/srv/templates/cloudrun", True),
        ("C:\\templates", "C:\\templates\\cloudrun", True),
        ("https://git.example/t.git", "/home/ann/.cookiecutters/t", False),
        ("gh:acme/t", "/home/ann/.cookiecutters/t", False),
        ("t", "/home/ann/.cookiecutters/t", False),
    ],
)
def test_a_template_is_used_where_it_lies_or_is_a_copy(
    hook: ModuleType, origin: str, repo_dir: str, folder: bool
) -> None:
    assert hook.is_folder(origin, repo_dir) is folder


def test_an_archive_on_the_web_is_taken_from_there(hook: ModuleType, tmp_path: Path) -> None:
    origin = "https://ann:secret@git.example/acme/t/archive/v1.zip"
    values = answers() | {"_template": origin, "_repo_dir": str(tmp_path)}
    value, note = hook.engine_source(values, tmp_path)
    assert value == '{ url = "https://git.example/acme/t/archive/v1.zip" }'
    assert note is None


# The small parts


def test_a_step_that_breaks_is_a_note_and_the_next_one_is_taken(
    hook: ModuleType, tmp_path: Path
) -> None:
    def breaks(_: Path) -> Iterator[Any]:
        raise PermissionError("no")
        yield

    steps = [hook.Step("Locking", breaks, ("uv lock",))] * 2
    notes = list(hook.finish(tmp_path, steps))
    assert (
        notes == [hook.Note("Locking failed (PermissionError: no). Later run:", ("uv lock",))] * 2
    )


def test_a_command_that_does_not_end_is_ended(hook: ModuleType, tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    result = hook.run(sleep, tmp_path, 1)
    assert (result.returncode, result.stderr) == (124, "no answer in 1 s")


def test_a_pyproject_without_the_engine_is_left_alone_with_a_note(
    hook: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (note,) = hook.finish(tmp_path, [hook.PIN])
    assert "no line of pyproject.toml says where cookiecutter-cloudrun comes from" in note.text
    assert (tmp_path / "pyproject.toml").read_text() == "[project]\n"


def test_the_engines_line_is_the_only_one_that_changes(hook: ModuleType, tmp_path: Path) -> None:
    before = (
        'a = "é \\\\1"\r\ncookiecutter-cloudrun = { path = "." }\r\n"cookiecutter-cloudrun",\r\n'
    )
    (tmp_path / "pyproject.toml").write_bytes(before.encode())
    list(hook.pin_engine(tmp_path))
    after = (tmp_path / "pyproject.toml").read_bytes().decode().split("\n")
    assert after[0] == 'a = "é \\\\1"'
    assert after[1].startswith("cookiecutter-cloudrun = { path = ")
    assert after[2:] == ['"cookiecutter-cloudrun",', ""]


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("Using CPython\nerror: Request failed\n  cause: dns", "error: Request failed"),
        ("\n  hint: x\nfatal: no", "fatal: no"),
        ("something else\n", "something else"),
        ("", "no reason given"),
    ],
)
def test_the_reason_is_the_line_that_says_most(hook: ModuleType, stderr: str, reason: str) -> None:
    assert hook.reason(stderr) == reason


def test_the_end_survives_a_console_that_knows_ascii_only(template: Path, tmp_path: Path) -> None:
    output = tmp_path / "ausgabe-größe"
    result = generate(
        template, output, environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert source(result)
    assert "Generated orders in" in result.output
    assert len(log(result)) == 1
