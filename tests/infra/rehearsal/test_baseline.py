"""Which commit is taken to be deployed, and its files."""

import re
import subprocess
from pathlib import Path

import pytest

from infra.project import ProjectError
from infra.rehearsal.baseline import choose, export, has

TAG = r"^v\d+\.\d+\.\d+$"


class Repository:
    """A service in a folder of a repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "services/orders"
        self.folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        """What a git command prints."""
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        command = ["git", *who, "-C", str(self.root), *words]
        return subprocess.check_output(command, text=True, stderr=subprocess.STDOUT).strip()

    def commit(self, text: str) -> str:
        """A commit in which the service's file holds the text."""
        (self.folder / "file.txt").write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", text)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def test_it_is_where_the_branch_left_main(repository: Repository) -> None:
    base = repository.commit("one")
    repository.git("checkout", "-q", "-b", "change")
    repository.commit("two")
    chosen = choose(repository.folder)
    assert (chosen.commit, chosen.why) == (base, "where this branch left main")


def test_on_main_it_is_what_was_pushed_last(repository: Repository, tmp_path: Path) -> None:
    base = repository.commit("one")
    repository.git("clone", "-q", "--bare", ".", str(tmp_path / "origin"))
    repository.git("remote", "add", "origin", str(tmp_path / "origin"))
    repository.git("fetch", "-q", "origin")
    repository.commit("two")
    assert choose(repository.folder).commit == base
    assert choose(repository.folder).why == "where this branch left origin/main"


def test_on_main_alone_it_is_the_one_before(repository: Repository) -> None:
    first = repository.commit("one")
    assert str(choose(repository.folder)) == f"{first[:12]}, the only one"
    last = repository.commit("two")
    assert choose(repository.folder).commit == first
    (repository.folder / "file.txt").write_text("three")
    chosen = choose(repository.folder)
    assert (chosen.commit, chosen.why) == (last, "the last one: files here differ from it")


def test_what_is_changed_elsewhere_in_the_repository_is_no_change(repository: Repository) -> None:
    first = repository.commit("one")
    repository.commit("two")
    (repository.root / "elsewhere.txt").write_text("three")
    assert choose(repository.folder).commit == first


def test_where_tags_are_released_it_is_the_newest_of_them(repository: Repository) -> None:
    released = repository.commit("one")
    repository.git("tag", "v1.0.0")
    repository.commit("two")
    repository.git("tag", "nightly")
    chosen = choose(repository.folder, tag=TAG)
    assert chosen.commit == released
    assert chosen.why == "the newest tag that is released, v1.0.0"
    # What is here is tagged to be released: it is not deployed yet.
    repository.git("tag", "v1.1.0")
    assert choose(repository.folder, tag=TAG).commit == released
    (repository.folder / "file.txt").write_text("three")
    assert choose(repository.folder, tag=TAG).why.endswith("v1.1.0")


def test_any_name_of_a_commit_may_be_given(repository: Repository) -> None:
    first = repository.commit("one")
    repository.commit("two")
    for name in (first, first[:8], "HEAD^", "main~1"):
        assert choose(repository.folder, name).commit == first
    with pytest.raises(ProjectError, match=r"nowhere in the repository here$"):
        choose(repository.folder, "nowhere")
    with pytest.raises(ProjectError, match="there is no commit --all"):
        choose(repository.folder, "--all")


def test_a_shallow_clone_is_told_how_to_become_whole(
    repository: Repository, tmp_path: Path
) -> None:
    first = repository.commit("one")
    repository.commit("two")
    clone = tmp_path / "clone"
    repository.git("clone", "-q", "--depth", "1", f"file://{repository.root}", str(clone))
    for given in (None, first):
        with pytest.raises(ProjectError, match="fetch-depth: 0") as failure:
            choose(clone / "services/orders", given)
        assert "git fetch --unshallow" in str(failure.value)


def test_without_a_commit_there_is_nothing_deployed(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()  # whatever is around it
    with pytest.raises(ProjectError, match="is in no git repository with a commit"):
        choose(tmp_path)


def test_its_files_are_those_of_the_folder_then(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit("one")
    (repository.root / "elsewhere.txt").write_text("not the service's")
    repository.commit("two")
    export(repository.folder, first, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["file.txt"]
    assert (tmp_path / "out/file.txt").read_text() == "one"
    assert has(repository.folder, first, "file.txt")
    assert not has(repository.folder, first, "environments/prd.yaml")
    assert repository.git("status", "--porcelain") == ""
    with pytest.raises(ProjectError, match=re.escape("can't be read")):
        export(repository.folder, "0" * 40, tmp_path / "other")
