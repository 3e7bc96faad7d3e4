"""Files are written whole, all of them or none."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.project import ProjectError
from infra.scaffold import put
from infra.scaffold.tree import tree

KILLED = """
import json, os, signal, sys
from pathlib import Path
from infra.scaffold import put
folder, texts, last = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
write = put.write
def killed(path, text):
    if path.name == last:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, text)
put.write = killed
put.put(folder, texts)
"""
TEXTS = {"a/new.py": "new\n", "changed.py": "after\n", "gone.py": None, "z.py": "z\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "changed.py").write_bytes(b"before\r\n")
    (tmp_path / "gone.py").write_text("gone\n")
    return tmp_path


def there(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_all_of_them_are_written(folder: Path) -> None:
    put.put(folder, TEXTS)
    assert there(folder) == {"a/new.py": b"new\n", "changed.py": b"after\n", "z.py": b"z\n"}


def test_a_file_that_cant_be_written_leaves_all_as_they_were(folder: Path) -> None:
    before = there(folder)
    with pytest.raises(ProjectError, match="all files are as they were before"):
        # A folder's name is no file's.
        put.put(folder, {**TEXTS, "changed.py/x.py": "x\n"})
    assert there(folder) == before


@pytest.mark.parametrize("last", [*(Path(path).name for path in TEXTS)])
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows kills otherwise")
def test_a_command_that_was_killed_is_undone_by_the_next(folder: Path, last: str) -> None:
    before = there(folder)
    program = [sys.executable, "-c", KILLED, str(folder), json.dumps(TEXTS), last]
    killed = subprocess.run(program, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert put.JOURNAL in there(folder)
    put.recover(folder)
    assert there(folder) == before
    put.put(folder, TEXTS)
    assert there(folder) == {"a/new.py": b"new\n", "changed.py": b"after\n", "z.py": b"z\n"}


def test_a_file_that_was_half_written_goes(folder: Path) -> None:
    before = there(folder)
    program = [sys.executable, "-c", KILLED, str(folder), json.dumps(TEXTS), "z.py"]
    subprocess.run(program, check=False)
    put.beside(folder / "z.py").write_text("hal")
    put.recover(folder)
    assert there(folder) == before


def test_what_was_changed_after_the_kill_is_left(folder: Path) -> None:
    program = [sys.executable, "-c", KILLED, str(folder), json.dumps(TEXTS), "z.py"]
    subprocess.run(program, check=False)
    (folder / "changed.py").write_text("by hand\n")
    put.recover(folder)
    assert there(folder) == {"changed.py": b"by hand\n", "gone.py": b"gone\n"}


def test_a_journal_that_was_cut_off_is_taken_away(folder: Path) -> None:
    before = there(folder)
    (folder / put.JOURNAL).write_text('{"before": {')
    assert put.recover(folder) == []
    assert there(folder) == before


@pytest.mark.parametrize("path", ["../outside.py", "link/outside.py", "/outside.py"])
def test_a_journal_that_leads_out_of_the_service_is_refused(folder: Path, path: str) -> None:
    (folder / "link").symlink_to(folder.parent)
    kept = {
        "before": {path: "bad\n", "gone.py": "bad\n"},
        "after": {path: None, "gone.py": "gone\n"},
    }
    (folder / put.JOURNAL).write_text(json.dumps(kept))
    with pytest.raises(ProjectError, match=r"no command writes .*outside\.py"):
        put.recover(folder)
    assert not (folder.parent / "outside.py").exists()
    assert (folder / "gone.py").read_text() == "gone\n"


@pytest.mark.parametrize("text", ['"', '{"before": {"a": 1}, "after": {"a": null}}', "\xff"])
def test_a_journal_with_nothing_to_go_by_is_taken_away(folder: Path, text: str) -> None:
    before = there(folder)
    (folder / put.JOURNAL).write_bytes(text.encode("latin-1"))
    assert put.recover(folder) == []
    assert there(folder) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such bits")
def test_a_file_keeps_its_mode(folder: Path) -> None:
    (folder / "changed.py").chmod(0o640)
    put.put(folder, TEXTS)
    assert (folder / "changed.py").stat().st_mode & 0o777 == 0o640


def test_a_diff_is_in_gits_words(folder: Path) -> None:
    text = "\n".join(put.diffs(folder, TEXTS))
    assert "--- /dev/null\n+++ b/a/new.py\n" in text
    assert "--- a/gone.py\n+++ /dev/null\n" in text
    assert "-before" in text
    assert "+after" in text


def test_the_tree_says_what_became_of_each_file() -> None:
    marks = {"src/a/new.py": "new", "src/a/old.py": "changed", "x.py": "removed"}
    assert tree("orders/", marks).splitlines() == [
        "orders/",
        "├── src/",
        "│   └── a/",
        "│       ├── new.py  new",
        "│       └── old.py  changed",
        "└── x.py            removed",
    ]
