"""What is packaged of a service's folder, and what never is."""

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from infra.project import ProjectError
from infra.release import source

MANY_YEARS = 1_600_000_000


def tree(folder: Path, **files: str) -> Path:
    """A folder with the files, `__` for a slash; each has a content of its own."""
    for name, content in files.items():
        write(folder, name.replace("__", "/"), content)
    return folder


def write(folder: Path, name: str, content: str = "x") -> Path:
    """A file of the folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def packed(folder: Path) -> tuple[bytes, list[tarfile.TarInfo]]:
    """The archive's bytes, and its members."""
    with source.package(folder) as packaged:
        data = packaged.archive.read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return data, tar.getmembers()


def names(folder: Path) -> list[str]:
    """What is packaged."""
    return [member.name for member in packed(folder)[1]]


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, order in ((one, ("b", "a/z", "a.txt")), (other, ("a.txt", "a/z", "b"))):
        for name in order:
            write(folder, name, f"content of {name}")
    (one / "a.txt").chmod(0o600)
    (other / "a.txt").chmod(0o664)
    os.utime(other / "b", (MANY_YEARS, MANY_YEARS))
    assert packed(one)[0] == packed(other)[0]


def test_its_hash_is_that_of_what_is_packed_however_it_is_packed(tmp_path: Path) -> None:
    write(tmp_path, "a", "1")
    with source.package(tmp_path) as packaged:
        whole = gzip.decompress(packaged.archive.read())
    assert packaged.sha256 == hashlib.sha256(whole).hexdigest()


def test_another_tree_gives_other_bytes(tmp_path: Path) -> None:
    write(tmp_path, "a", "1")
    before = packed(tmp_path)[0]
    write(tmp_path, "a", "2")
    assert packed(tmp_path)[0] != before


def test_nothing_of_this_machine_is_in_it(tmp_path: Path) -> None:
    write(tmp_path, "a")
    data, (member,) = packed(tmp_path)
    assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
    assert (member.uname, member.gname, member.mode) == ("", "", 0o644)
    assert data[4:8] == b"\0\0\0\0"
    assert str(tmp_path).encode() not in gzip.decompress(data)


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes there")
def test_what_is_executable_stays_so(tmp_path: Path) -> None:
    write(tmp_path, "run").chmod(0o700)
    _, (member,) = packed(tmp_path)
    assert member.mode == 0o755


def test_secrets_and_settings_of_this_machine_stay_whatever_the_rules_say(tmp_path: Path) -> None:
    write(tmp_path, ".gcloudignore", "!*\n!.env\n!config.yaml\n!.git\n")
    for name in (
        *(".env", ".env.prd", "src/.env", "config.yaml", "config.yml", "config.json"),
        *("config.toml", ".git/config", "sub/.git", ".venv/bin/python", ".local/postgres/x"),
    ):
        write(tmp_path, name)
    for name in (".env.example", "src/config.yaml", "config.example.yaml"):
        write(tmp_path, name)
    assert names(tmp_path) == [
        ".env.example",
        ".gcloudignore",
        "config.example.yaml",
        "src/config.yaml",
    ]


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("", ["a.log", "a.txt", "logs/a.log", "logs/keep.log", "src/logs/a.log"]),
        ("*.log", ["a.txt"]),
        ("*.log\n!keep.log", ["a.txt", "logs/keep.log"]),
        ("/logs/", ["a.log", "a.txt", "src/logs/a.log"]),
        ("logs", ["a.log", "a.txt"]),
        ("logs/\n!logs/keep.log", ["a.log", "a.txt"]),
        ("logs/*\n!logs/keep.log", ["a.log", "a.txt", "logs/keep.log", "src/logs/a.log"]),
        ("**/logs/a.log", ["a.log", "a.txt", "logs/keep.log"]),
        ("# a.txt\n\\#b\n\n/*.tx[t]  ", ["a.log", "logs/a.log", "logs/keep.log", "src/logs/a.log"]),
        ("*\n!*.txt", ["a.txt"]),
        ("src/**/a.log", ["a.log", "a.txt", "logs/a.log", "logs/keep.log"]),
    ],
)
@pytest.mark.parametrize("included", [False, True], ids=["gcloudignore", "included"])
def test_rules_mean_what_they_mean_in_git(
    tmp_path: Path, rules: str, kept: list[str], included: bool
) -> None:
    for name in ("a.log", "a.txt", "logs/a.log", "logs/keep.log", "src/logs/a.log"):
        write(tmp_path, name)
    own = ".gcloudignore\n.gitignore\n"
    if included:
        write(tmp_path, ".gcloudignore", f"#!include:.gitignore\n{own}")
        write(tmp_path, ".gitignore", rules)
    else:
        write(tmp_path, ".gcloudignore", f"{rules}\n{own}")
    assert names(tmp_path) == kept


def test_git_leaves_out_the_same(tmp_path: Path) -> None:
    write(tmp_path, ".gitignore", "build/\n*.tmp\n/top\n!keep.tmp\n")
    write(tmp_path, "sub/.gitignore", "own\n!b.tmp\n")
    for name in ("a", "a.tmp", "keep.tmp", "top", "build/x", "sub/own", "sub/b.tmp", "sub/top"):
        write(tmp_path, name)
    write(tmp_path, ".gcloudignore", "#!include:.gitignore\n")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    listed = subprocess.run(
        ["git", "-C", str(tmp_path), "ls-files", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert names(tmp_path) == sorted(listed.stdout.split())


def test_without_a_gcloudignore_gits_rules_count(tmp_path: Path) -> None:
    write(tmp_path, ".gitignore", "*.tmp\n")
    write(tmp_path, "a.tmp")
    write(tmp_path, "a")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("included", ["../outside", "missing", "a/b"])
def test_a_file_that_can_not_be_included_is_said(tmp_path: Path, included: str) -> None:
    write(tmp_path, ".gcloudignore", f"#!include:{included}\n")
    with pytest.raises(ProjectError, match="include"):
        source.package(tmp_path)


def test_nothing_left_is_said(tmp_path: Path) -> None:
    write(tmp_path, ".gcloudignore", "*\n")
    with pytest.raises(ProjectError, match="everything in it is left out"):
        source.package(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
class TestLinks:
    """Symbolic links."""

    def test_one_that_stays_inside_is_kept(self, tmp_path: Path) -> None:
        write(tmp_path, "sub/a")
        (tmp_path / "sub/relative").symlink_to("a")
        (tmp_path / "absolute").symlink_to(tmp_path / "sub/a")
        members = {member.name: member for member in packed(tmp_path)[1]}
        assert members["sub/relative"].linkname == "a"
        assert members["absolute"].linkname == "sub/a"

    @pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "a/../../outside"])
    def test_one_that_leads_out_is_refused(self, tmp_path: Path, target: str) -> None:
        (tmp_path / "link").symlink_to(target)
        with pytest.raises(ProjectError, match=r"link is a symbolic link to .*copy what it leads"):
            source.package(tmp_path)

    def test_one_that_is_left_out_may_lead_anywhere(self, tmp_path: Path) -> None:
        write(tmp_path, ".gitignore", "/result\n")
        write(tmp_path, "a")
        (tmp_path / "result").symlink_to("/nix/store")
        assert names(tmp_path) == ["a"]

    def test_a_folder_that_is_a_link_is_not_entered(self, tmp_path: Path) -> None:
        write(tmp_path, "real/a")
        (tmp_path / "linked").symlink_to("real")
        (tmp_path / "real/up").symlink_to("..")
        assert names(tmp_path) == ["linked", "real/a", "real/up"]


def test_a_file_of_any_size_and_name_goes_in(tmp_path: Path) -> None:
    long = "d" * 120 + "/" + "f" * 120
    write(tmp_path, long, "é")
    write(tmp_path, "Ünïcödé 🍮 'quoted'")
    with (tmp_path / "big").open("wb") as big:
        big.truncate(120_000_000)
        big.seek(60_000_000)
        big.write(os.urandom(70_000_000))
    with source.package(tmp_path) as packaged:
        assert packaged.advice is not None
        assert "big (130.0 MB)" in packaged.advice
        with tarfile.open(fileobj=packaged.archive) as tar:
            assert {m.name: m.size for m in tar.getmembers()}[long] == 2


def test_what_is_too_large_is_refused_with_the_largest_files(tmp_path: Path) -> None:
    for name, size in (("small", 10), ("large", 200_000), ("larger", 300_000)):
        (tmp_path / name).write_bytes(os.urandom(size))
    named = r"larger than 400 kB, packed: .*: larger \(300 kB\), large \(200 kB\), small \(10 B\)"
    with pytest.raises(ProjectError, match=named):
        source.package(tmp_path, limit=400_000)
    with source.package(tmp_path, limit=600_000) as packaged:
        assert len(packaged.entries) == 3


def test_the_summary_says_how_much_it_is(tmp_path: Path) -> None:
    write(tmp_path, "a")
    with source.package(tmp_path) as packaged:
        assert packaged.summary.startswith("1 file, ")
        assert packaged.advice is None
        assert packaged.object_name == f"source/{packaged.sha256}.tgz"


class TestVersion:
    """What the source is called."""

    def commit(self, folder: Path) -> str:
        for command in (
            ["init", "-q"],
            ["add", "-A"],
            ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "a"],
        ):
            subprocess.run(["git", "-C", str(folder), *command], check=True)
        head = source.git(folder, "rev-parse", "HEAD")
        assert head is not None
        return head

    def test_it_is_the_commit_when_nothing_else_is_there(self, tmp_path: Path) -> None:
        write(tmp_path, "a")
        head = self.commit(tmp_path)
        with source.package(tmp_path) as packaged:
            assert source.Commit.read(tmp_path).version(packaged) == head

    def test_it_is_the_hash_when_something_was_changed(self, tmp_path: Path) -> None:
        write(tmp_path, "a")
        self.commit(tmp_path)
        write(tmp_path, "b")
        with source.package(tmp_path) as packaged:
            assert source.Commit.read(tmp_path).version(packaged) == packaged.sha256[:40]

    def test_it_is_the_hash_without_git(self, tmp_path: Path) -> None:
        write(tmp_path, "a")
        with source.package(tmp_path) as packaged:
            assert source.Commit.read(tmp_path).version(packaged) == packaged.sha256[:40]

    def test_the_commit_is_known_with_its_branch_and_its_author(self, tmp_path: Path) -> None:
        write(tmp_path, "a")
        head = self.commit(tmp_path)
        subprocess.run(["git", "-C", str(tmp_path), "checkout", "-qb", "it's/mine"], check=True)
        clean = source.Commit(head, "it's/mine", "a <a@example.com>", is_dirty=False)
        assert source.Commit.read(tmp_path) == clean
        write(tmp_path, "b")
        assert source.Commit.read(tmp_path) == replace(clean, is_dirty=True)

    def test_it_is_none_where_there_is_no_git(self, tmp_path: Path) -> None:
        write(tmp_path, "a")
        assert source.Commit.read(tmp_path) == source.Commit()

    def test_nothing_is_committed_yet(self, tmp_path: Path) -> None:
        write(tmp_path, "a")
        subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
        assert source.Commit.read(tmp_path) == source.Commit()

    def test_it_is_the_hash_when_git_ignores_what_is_packaged(self, tmp_path: Path) -> None:
        write(tmp_path, "a")
        write(tmp_path, ".gitignore").write_text("made\n")
        write(tmp_path, ".gcloudignore").write_text("nothing\n")
        head = self.commit(tmp_path)
        with source.package(tmp_path) as packaged:
            assert source.Commit.read(tmp_path).version(packaged) == head
        write(tmp_path, "made")
        with source.package(tmp_path) as packaged:
            commit = source.Commit.read(tmp_path)
            assert not commit.is_dirty
            assert commit.version(packaged) == packaged.sha256[:40]
