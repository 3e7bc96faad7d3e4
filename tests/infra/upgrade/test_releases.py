"""Services of this template's last releases, changed as a team changes them, and upgraded to what
is checked out here, and then to a template that changes the very same places."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from infra.upgrade.git import Git
from infra.upgrade.versions import Release, releases
from tests.infra.upgrade.small import ROOT, Files, Service, Template, commit, git
from tests.template.bakes import NOT_THEIRS, REPOSITORY, Baked

LAST = 3


def known() -> list[Release]:
    """The last releases, the newest first: none where the history is not there."""
    if not (REPOSITORY / ".git").exists():
        return []
    return releases(Git(REPOSITORY))[:LAST]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """This repository as it is checked out."""
    folder = tmp_path_factory.mktemp("template") / "template"
    subprocess.run(["git", "clone", "--quiet", "--shared", REPOSITORY, folder], check=True)
    git(folder, "checkout", "--quiet", "-B", "main")
    return Template(folder)


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of whoever runs the tests."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)


def service_of(template: Template, release: Release, scratch: Path, *, locked: bool) -> Service:
    """A service of a release, as a team has it after some work."""
    service = Service.make(
        template, scratch, release.commit, locked=locked, service="shop", entity="item"
    )
    folder = service.folder
    for path in sorted(folder.rglob("*item*")):
        if "db" not in path.parts:
            product = path.with_name(path.name.replace("item", "product"))
            product.write_text(as_product(path.read_text("utf-8")), "utf-8")
    (first,) = (folder / "db/versions").glob("20260101_0001_*.py")
    text = (
        as_product(first.read_text("utf-8")).replace('"0002"', '"0003"').replace('"0001"', '"0002"')
    )
    (folder / "db/versions/20260301_1200_create_products.py").write_text(text, "utf-8")
    for layer in ("exceptions", "models", "repositories", "schemas", "services", "routers"):
        register(folder / f"src/{layer}/__init__.py")
    change(folder / "src/main.py", "GARBAGE = (20_000,", "GARBAGE = (10_000,")
    change(folder / "config.example.yaml", "", "# Ours.\n")
    change(folder / "ci/cloud-build.yaml", "", "# Ours.\n")
    change(folder / "pyproject.toml", '    "alembic', '    "rich>=14",\n    "alembic')
    (folder / "docker-compose.yml").unlink()
    service.has({})
    return service


def as_product(text: str) -> str:
    """A file of the example, for products."""
    return text.replace("Item", "Product").replace("item", "product")


def register(file: Path) -> None:
    """Lets a layer export what it has of products, beside what it has of items."""
    lines = file.read_text("utf-8").splitlines(keepends=True)
    result: list[str] = []
    block: list[str] = []
    for line in lines:
        result.append(line)
        if block or "item" in line.lower():
            block.append(as_product(line))
            # An import of several lines is registered whole.
            if "(" not in "".join(block) or line.startswith(")"):
                result += block
                block = []
    file.write_text("".join(result), "utf-8")


def change(file: Path, old: str, new: str) -> None:
    """Replaces a text that is there once; "" stands for the end."""
    text = file.read_text("utf-8")
    assert old == "" or text.count(old) == 1, f"{file}: {old}"
    file.write_text(text.replace(old, new) if old else text + new, "utf-8")


def changes_the_same(template: Template) -> Files:
    """Files of the template, changed where the team changes them."""
    main = (template.folder / ROOT / "src/main.py").read_text("utf-8")
    models = (template.folder / ROOT / "src/models/__init__.py").read_text("utf-8")
    build = (template.folder / ROOT / "ci/cloud-build.yaml").read_text("utf-8")
    compose = (template.folder / ROOT / "docker-compose.yml").read_text("utf-8")
    editor = (template.folder / ROOT / ".editorconfig").read_text("utf-8")
    return {
        f"{ROOT}/src/main.py": main.replace("GARBAGE = (20_000,", "GARBAGE = (30_000,"),
        f"{ROOT}/src/models/__init__.py": models.replace('"BaseRow", ', '"BaseRow", "NO_NUL", '),
        f"{ROOT}/ci/cloud-build.yaml": f"# Theirs.\n{build}",
        f"{ROOT}/docker-compose.yml": f"{compose}# Theirs.\n",
        f"{ROOT}/.editorconfig": f"{editor}# Theirs.\n",
    }


@pytest.mark.skipif(not known(), reason="the repository's history is not here")
@pytest.mark.parametrize("release", known(), ids=lambda each: str(each.version))
def test_a_template_that_changes_the_same_places_is_merged(
    template: Template, release: Release, tmp_path: Path
) -> None:
    service = service_of(template, release, tmp_path / "service", locked=False)
    git(template.folder, "checkout", "--quiet", "--detach", "main")
    theirs = commit(template.folder, "Change the same", changes_the_same(template))
    git(template.folder, "branch", "--force", "theirs", theirs)
    before = service.state
    stopped = service.upgrade(to=theirs)
    assert stopped.status == 1, (stopped.said, stopped.output)
    conflicts = git(service.top, "diff", "--name-only", "--diff-filter=U").splitlines()
    # The same line, and the same place of a list; the lists of layers may be others'.
    assert {"src/main.py", "src/models/__init__.py"} <= set(conflicts)
    assert all(re.fullmatch(r"src/main\.py|src/\w+/__init__\.py", each) for each in conflicts)
    main = service.read("src/main.py")
    assert "<<<<<<< yours\nGARBAGE = (10_000, 10, 10)\n=======\nGARBAGE = (30_000," in main
    build = service.read("ci/cloud-build.yaml")
    assert build.startswith("# Theirs.\n") and build.endswith("# Ours.\n")
    assert not (service.folder / "docker-compose.yml").exists()
    assert "docker-compose.yml stays so" in stopped.output
    assert service.read(".editorconfig").endswith("# Theirs.\n")
    assert service.read("config.example.yaml").endswith("# Ours.\n")
    assert '    "rich>=14",\n' in service.read("pyproject.toml")
    assert not [*service.top.rglob("*.rej"), *service.top.rglob("*.orig")]
    assert service.upgrade(abort=True).status == 0
    assert service.state == before


@pytest.mark.long
@pytest.mark.skipif(not known(), reason="the repository's history is not here")
def test_a_service_of_an_older_release_passes_its_tests_when_it_is_upgraded(
    template: Template, tmp_path: Path
) -> None:
    service = service_of(template, known()[-1], tmp_path / "service", locked=True)
    git(template.folder, "checkout", "--quiet", "main")
    newest = commit(template.folder, "Go on", {f"{ROOT}/.editorconfig": "root = true\n"})
    done = service.upgrade(to=newest)
    if done.status:
        resolve(service)
        done = service.upgrade(continue_=True)
    assert done.status == 0, (done.said, done.output)
    assert service.state[1:] == (git(service.top, "branch", "--show-current"), "")
    assert f'rev = "{newest}"' in service.read("pyproject.toml")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(NOT_THEIRS)}
    baked = Baked(service.folder, {**clean, "NO_COLOR": "1"})
    baked.passes("ruff", "check", "--fix", "--select", "I,RUF022", "src")
    baked.passes("ruff", "format", "src", "tests", "db")
    baked.passes("invoke", "lint")
    reached = ("product", "item", "layers", "migrations", "errors", "base_repository")
    output = baked.passes("pytest", "-q", *(f"tests/test_{each}.py" for each in reached))
    assert re.search(r"\d+ passed", output)
    assert "failed" not in output


def resolve(service: Service) -> None:
    """Keeps both sides of each conflict, which are lists of names."""
    for name in git(service.top, "diff", "--name-only", "--diff-filter=U").splitlines():
        assert name.endswith("/__init__.py"), name
        lines = service.read(name).splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(("<<<<<<<", "=======", ">>>>>>>"))]
        (service.folder / name).write_text("".join(kept), "utf-8")
    git(service.top, "add", "--all")
