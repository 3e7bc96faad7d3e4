"""`invoke upgrade` from one release of a small template to another, over what a team did."""

import io
import json
import os
import stat
from pathlib import Path

import pytest

from infra.upgrade import branch
from infra.upgrade.git import Git
from infra.upgrade.origin import FILE
from infra.upgrade.repository import Repository
from infra.upgrade.state import NAME, State
from infra.upgrade.versions import releases
from tests.infra.upgrade.small import LINES, QUESTIONS, ROOT, Service, Template, git

# What git is told that touches the service.
WRITES = {"update-ref", "symbolic-ref", "read-tree", "update-index", "add"}
MODEL = f"{ROOT}/src/models/item_model.py"


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of whoever runs the tests, and nothing of uv's beside ours."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)


@pytest.fixture
def template(tmp_path: Path) -> Template:
    """A template, not released yet."""
    return Template.make(tmp_path / "template")


def test_a_version_is_the_commit_that_raised_it_or_its_tag(template: Template) -> None:
    second = template.release("0.2.0", {})
    third = template.release("0.3.0", {"later.txt": "x"})
    fixed = template.release("0.3.0", {"later.txt": "y"})
    found = {str(each.version): each.commit for each in releases(Git(template.folder))}
    assert found == {"0.3.0": third, "0.2.0": second}
    git(template.folder, "tag", "v0.3.0", fixed)
    newest = releases(Git(template.folder))[0]
    assert (str(newest.version), newest.commit) == ("0.3.0", fixed)


def test_what_nobody_touched_is_updated_and_what_the_team_did_stays(
    template: Template, tmp_path: Path
) -> None:
    second = template.release("0.2.0", {})
    service = Service.make(template, tmp_path / "service", second, title='A "title" {{ 1 }}')
    work = service.has(
        {
            "lines.txt": LINES.replace("9\n", "nine\n"),
            "src/models/item_model.py": None,
            "src/models/product_model.py": "item = 1\n" * 20 + "product = 2\n",
        }
    )
    template.release("0.3.0", {f"{ROOT}/new/file.txt": "{{ cookiecutter.title }}\n"})
    newest = template.release(
        "0.4.0",
        {
            f"{ROOT}/lines.txt": LINES.replace("1\n", "one\n"),
            MODEL: "item = 1\n" * 20 + "item = 2\n",
            f"{ROOT}/old name é.txt": None,
        },
    )
    shown = service.upgrade(dry_run=True)
    assert shown.status == 0, shown.output
    assert service.state == (work, "main", "")
    assert "+one" in shown.output

    done = service.upgrade()
    assert done.status == 0, (done.said, done.output)
    # The newest notes first, and none that it had already.
    notes = [done.output.find(f"What is new in {each}") for each in ("0.4.0", "0.3.0")]
    assert -1 < notes[0] < notes[1]
    assert "What is new in 0.2.0" not in done.output
    assert service.read("lines.txt") == LINES.replace("9\n", "nine\n").replace("1\n", "one\n")
    assert service.read("new/file.txt") == 'A "title" {{ 1 }}\n'
    assert not (service.folder / "old name é.txt").exists()
    assert not (service.folder / "src/models/item_model.py").exists()
    assert "item_model.py stays so" in done.output
    assert "item = 2" not in service.read("src/models/product_model.py")
    head, name, dirty = service.state
    assert (name, dirty) == ("upgrade/0.4.0", "")
    assert git(service.top, "rev-parse", "HEAD^") == work
    # The engine comes from the template's new commit, and the lock knows it.
    assert f'rev = "{newest}"' in service.read("pyproject.toml")
    assert newest in service.read("uv.lock")
    remembered = json.loads(service.read(FILE))
    assert (remembered["commit"], remembered["version"]) == (newest, "0.4.0")
    assert remembered["answers"] == {"service": "shop", "title": 'A "title" {{ 1 }}'}

    again = service.upgrade()
    assert again.status == 0
    assert "Already at 0.4.0" in again.output
    assert service.state == (head, name, "")


def test_a_conflict_has_gits_markers_and_goes_on_when_it_is_resolved(
    template: Template, tmp_path: Path
) -> None:
    second = template.release("0.2.0", {})
    service = Service.make(template, tmp_path / "service", second)
    work = service.has({"lines.txt": LINES.replace("5\n", "ours\n"), "both.txt": "ours\n"})
    template.release(
        "0.3.0",
        {f"{ROOT}/lines.txt": LINES.replace("5\n", "theirs\n"), f"{ROOT}/both.txt": "theirs\n"},
    )
    stopped = service.upgrade()
    assert stopped.status == 1
    assert "lines.txt" in stopped.output
    assert "<<<<<<< yours\nours\n=======\ntheirs\n>>>>>>> template-0.3.0\n" in service.read(
        "lines.txt"
    )
    unmerged = git(service.top, "diff", "--name-only", "--diff-filter=U").splitlines()
    assert unmerged == ["both.txt", "lines.txt"]
    assert not [*service.top.rglob("*.rej"), *service.top.rglob("*.orig")]

    refused = service.upgrade()
    assert (refused.status, "under way" in refused.said) == (2, True)
    # Added as it is, with its markers, it is not resolved.
    git(service.top, "add", "--all")
    still = service.upgrade(continue_=True)
    assert still.status == 1
    (service.folder / "lines.txt").write_text(LINES.replace("5\n", "both\n"))
    (service.folder / "both.txt").write_text("both\n")
    git(service.top, "add", "--all")
    done = service.upgrade(continue_=True)
    assert done.status == 0, (done.said, done.output)
    assert service.state[1:] == ("upgrade/0.3.0", "")
    assert git(service.top, "rev-parse", "HEAD^") == work
    assert git(service.top, "show", "HEAD:both.txt") == "both"


def test_it_can_be_undone(template: Template, tmp_path: Path) -> None:
    second = template.release("0.2.0", {})
    service = Service.make(template, tmp_path / "service", second)
    service.has({"lines.txt": LINES.replace("5\n", "ours\n")})
    template.release(
        "0.3.0",
        {f"{ROOT}/lines.txt": LINES.replace("5\n", "theirs\n"), f"{ROOT}/deep/new.txt": "x\n"},
    )
    before = service.state
    assert service.upgrade().status == 1
    assert service.upgrade(abort=True).status == 0
    assert service.state == before
    assert not (service.folder / "deep").exists()
    assert git(service.top, "branch", "--list", "upgrade/*") == ""
    nothing = service.upgrade(abort=True)
    assert (nothing.status, nothing.said) == (2, "error: no upgrade is under way here")


@pytest.mark.parametrize("writes", range(5))
def test_one_that_is_killed_is_finished_or_undone_by_the_next(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    second = template.release("0.2.0", {})
    service = Service.make(template, tmp_path / "service", second)
    service.has({"lines.txt": LINES.replace("9\n", "nine\n")})
    template.release("0.3.0", {f"{ROOT}/lines.txt": LINES.replace("1\n", "one\n")})
    before = service.state
    real, count = Git.text, 0

    class Killed(BaseException):
        """The process is no more."""

    def dying(self: Git, *words: str, given: str = "") -> str:
        nonlocal count
        # What has variables works on an index of its own.
        if words[0] in WRITES and self.folder == service.top and not self.variables:
            count += 1
            if count > writes:
                raise Killed
        return real(self, *words, given=given)

    for go_on in ({"continue_": True}, {"abort": True}):
        count = 0
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Git, "text", dying)
            service.upgrade()
        said = service.upgrade(**go_on)
        assert said.status == 0, (said.said, said.output)
        if "abort" in go_on:
            assert service.state == before
        else:
            assert service.state[1:] == ("upgrade/0.3.0", "")
            expected = LINES.replace("9\n", "nine\n").replace("1\n", "one\n")
            assert service.read("lines.txt") == expected
            git(service.top, "switch", "--quiet", "main")
            git(service.top, "branch", "-D", "upgrade/0.3.0")


def test_a_service_within_a_repository_leaves_the_rest_alone(
    template: Template, tmp_path: Path
) -> None:
    second = template.release("0.2.0", {})
    service = Service.make(template, tmp_path / "service", second, below="services/my shop")
    (service.top / "other.txt").write_text("theirs\n")
    git(service.top, "add", "--all")
    git(service.top, "commit", "--quiet", "--message", "Other")
    script = service.folder / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (service.folder / "link").symlink_to("README.md")
    service.has({})
    template.release("0.3.0", {f"{ROOT}/README.md": "# {{ cookiecutter.title }}!\n"})
    done = service.upgrade()
    assert done.status == 0, (done.said, done.output)
    changed = git(service.top, "show", "--name-only", "--format=", "HEAD").splitlines()
    assert all(name.strip('"').startswith("services/my shop/") for name in changed), changed
    assert service.read("README.md") == "# Shop!\n"
    assert script.stat().st_mode & stat.S_IXUSR
    assert (service.folder / "link").is_symlink()


def test_a_new_question_takes_its_default_and_is_remembered(
    template: Template, tmp_path: Path
) -> None:
    second = template.release("0.2.0", {})
    service = Service.make(template, tmp_path / "service", second)
    template.release(
        "0.3.0",
        {
            "cookiecutter.json": json.dumps({**QUESTIONS, "colour": ["red", "blue"]}),
            f"{ROOT}/README.md": "# {{ cookiecutter.colour }}\n",
        },
    )
    done = service.upgrade()
    assert done.status == 0, (done.said, done.output)
    assert "colour" in done.output
    assert service.read("README.md") == "# red\n"
    assert json.loads(service.read(FILE))["answers"]["colour"] == "red"


def test_at_a_terminal_a_new_question_is_asked_until_it_is_answered(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = template.release("0.2.0", {})
    service = Service.make(template, tmp_path / "service", second)
    questions = {
        **QUESTIONS,
        "colour": ["red", "blue"],
        "motto": "{{ cookiecutter.colour }} is best",
        "loud": True,
        "__prompts__": {"motto": "What it says"},
    }
    template.release(
        "0.3.0",
        {
            "cookiecutter.json": json.dumps(questions),
            f"{ROOT}/README.md": "# {{ cookiecutter.motto }}, {{ cookiecutter.loud }}\n",
        },
    )

    class Terminal(io.StringIO):
        """Where somebody types."""

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("9\ngreen\n2\n\nperhaps\nno\n"))
    done = service.upgrade()
    assert done.status == 0, (done.said, done.output)
    assert done.output.count("one of those, please") == 3
    assert "A new question: What it says" in done.output
    assert service.read("README.md") == "# blue is best, False\n"
    answers = json.loads(service.read(FILE))["answers"]
    assert (answers["colour"], answers["motto"], answers["loud"]) == ("blue", "blue is best", False)


def test_what_the_template_refuses_touches_nothing(template: Template, tmp_path: Path) -> None:
    second = template.release("0.2.0", {})
    service = Service.make(template, tmp_path / "service", second)
    hook = 'import sys\nsys.exit("service: must be longer")\n'
    template.release("0.3.0", {"hooks/pre_gen_project.py": hook})
    before = service.state
    refused = service.upgrade()
    assert refused.status == 2
    assert "must be longer" in refused.said
    assert service.state == before


def test_what_cannot_begin_is_said_and_touches_nothing(template: Template, tmp_path: Path) -> None:
    second = template.release("0.2.0", {})
    service = Service.make(template, tmp_path / "service", second)
    template.release("0.3.0", {f"{ROOT}/README.md": "# New\n"})

    def refusal(**options: object) -> str:
        before = service.state
        ran = service.upgrade(**options)
        assert ran.status == 2, ran.output
        assert service.state == before
        return ran.said

    assert "Its versions: 0.3.0, 0.2.0" in refusal(to="0.9.0")
    assert "don't go together" in refusal(continue_=True, to="0.3.0")
    (service.folder / "README.md").write_text("# Mine\n")
    assert "README.md. Commit or stash" in refusal()
    git(service.top, "checkout", "--quiet", "README.md")
    (service.folder / "stray.txt").write_text("x\n")
    assert "stray.txt" in refusal()
    (service.folder / "stray.txt").unlink()
    git(service.top, "branch", "upgrade/0.3.0")
    assert "there is a branch upgrade/0.3.0 already" in refusal()
    git(service.top, "branch", "-D", "upgrade/0.3.0")
    service.has({FILE: "{}\n"})
    assert f"{FILE}" in refusal()
    service.has({FILE: None})
    assert "has no .template.json" in refusal()


def test_what_was_decided_reads_back_as_it_was_written(tmp_path: Path) -> None:
    template = Template.make(tmp_path / "template")
    service = Service.make(template, tmp_path / "service", template.release("0.2.0", {}))
    repository = Repository.find(service.folder)
    head = repository.head
    state = State(
        service="",
        name="0.3.0",
        branch=branch.name_of("0.3.0"),
        came_from="main",
        head=head,
        tree=head,
        unmerged=(),
        commit=head,
        old="0.2.0",
    )
    state.write(repository)
    assert State.model_validate_json(repository.path(NAME).read_text()) == state
    # A branch that is not there any more: somebody ended it by hand.
    assert branch.is_over(repository, state)
