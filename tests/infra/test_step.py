"""The line of a step: with a log it is the last one at a terminal, and said again elsewhere."""

import io
from contextlib import redirect_stdout, suppress

import pytest

from infra.report import logs_in_brief, plain, step


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True

    def shows(self) -> list[str]:
        """What is seen of it in the end."""
        lines, column = [""], 0
        for char in self.getvalue().replace("\x1b[K", "\x00"):
            if char == "\n":
                lines.append("")
                column = 0
            elif char == "\r":
                column = 0
            elif char == "\x00":
                lines[-1] = lines[-1][:column]
            else:
                lines[-1] = lines[-1][:column] + char + lines[-1][column + 1 :]
            column = column + 1 if char not in "\n\r\x00" else column
        return [line.rstrip() for line in lines]


def test_at_a_terminal_its_line_stays_below_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    screen = Screen()
    with redirect_stdout(screen), step("build the image") as line:
        line("step 1 of 2: docker")
        assert screen.shows()[-1].endswith("step 1 of 2: docker")
        line.log("first\nsecond")
        assert screen.shows()[:2] == ["    first", "    second"]
        assert screen.shows()[-1].startswith("  build the image ....")
        assert screen.shows()[-1].endswith("step 1 of 2: docker")
        line("step 2 of 2: docker")
        line.log("third")
    *log, last, end = screen.shows()
    assert log == ["    first", "    second", "    third"]
    assert last.startswith("  build the image ....")
    assert last.endswith("s")
    assert "step 2" not in last
    assert end == ""


def test_elsewhere_nothing_is_written_over(capsys: pytest.CaptureFixture[str]) -> None:
    with step("build the image") as line:
        line("step 1 of 2: docker")
        line.log("first")
        line.log("second")
    head, first, second, again = capsys.readouterr().out.splitlines()
    assert "\r" not in head
    assert head.startswith("  build the image ....")
    assert (first, second) == ("    first", "    second")
    assert again.startswith("  build the image ....")
    assert again.endswith(" s")


def test_in_brief_no_log_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    with redirect_stdout(screen), logs_in_brief(), step("build the image") as line:
        line.log("first\n\x1b[1msecond\x1b[0m\n")
        assert screen.shows()[-1].endswith(". second")
    assert len(screen.shows()) == 2
    with logs_in_brief(), step("build the image") as line:
        line.log("first\nsecond")
    printed = capsys.readouterr().out
    assert "first" not in printed and printed.count("\n") == 1
    with step("build the image") as line:
        line.log("first")
    assert "    first\n" in capsys.readouterr().out


def test_a_step_without_a_log_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with step("migrate"):
        pass
    with suppress(ValueError), step("roll out"):
        raise ValueError
    done, failed = capsys.readouterr().out.splitlines()
    assert done.endswith(" s")
    assert failed.endswith(" failed")


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text\x1b[2K", "text"),
        (" 10 %\r 99 %\rdone", "done"),
        ("one\r\ntwo\r\n", "one\ntwo"),
        ("a\tb\x08\x00", "a\tb"),
        ("  kept indent  ", "  kept indent"),
        ("naïve 🍮", "naïve 🍮"),
    ],
)
def test_what_only_a_terminal_of_its_own_would_take_is_left_out(printed: str, shown: str) -> None:
    assert plain(printed) == shown
