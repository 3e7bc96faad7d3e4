"""What a person sees of a run: at a terminal of 80 columns, in a log, of one service or several."""

import io
import re
from contextlib import redirect_stdout
from time import monotonic

import pytest

from infra.events import SENSITIVE, Begun, Ended, Event, Field, Finished, Started, Status, Waited
from infra.reporter import QUIET_SECONDS, Reporter, change, count, meanwhile, of_service, recaps

ESCAPE = "\x1b"
CODES = re.compile(r"\x1b\[[0-9;]*[mK]|\r")
LONG = "would be updated: " + "because of many words that do not fit on a line of a terminal " * 3
OK = Finished("account", "orders-run", Status.OK)
MADE = Finished("account", "orders-run", Status.CHANGED, "created")
WIDE = Finished("grants", "on secret orders-db-password-of-long-name", Status.CHANGED, "created", 3)
REASON = Finished("bucket", "acme-source", Status.FAILED, f"create it: denied\n{LONG}")
GONE = Finished("sql instance", "orders", Status.CHANGED, "would be deleted", action="delete")
GREEN, YELLOW, RED = "\x1b[32m", "\x1b[33m", "\x1b[31m"


class Terminal(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of whoever runs the tests."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def terminal() -> Terminal:
    """A terminal to print on."""
    return Terminal()


@pytest.fixture
def log() -> io.StringIO:
    """A file to print on."""
    return io.StringIO()


def tell(
    out: io.StringIO, *events: Event, diff: bool = False, services: tuple[str, ...] = ()
) -> None:
    """Tells events."""
    with redirect_stdout(out), Reporter(diff, services) as reporter:
        for event in events:
            reporter(event)


def lines(told: io.StringIO) -> list[str]:
    """The lines that are left when all is said, without their colours."""
    return CODES.sub("", told.getvalue()).splitlines()


def test_a_line_fits_80_columns_at_a_terminal(terminal: Terminal) -> None:
    fields = (Field("config.MOTTO", "word " * 30, "another " * 30),)
    wide = Finished("service", "orders", Status.CHANGED, "would be updated", fields=fields)
    tell(terminal, OK, WIDE, REASON, GONE, wide, diff=True)
    assert max(map(len, lines(terminal))) <= 80
    assert " ".join("\n".join(lines(terminal)).split()).count(LONG.strip()) == 1


def test_a_name_that_is_too_wide_moves_only_its_own_text(log: io.StringIO) -> None:
    tell(log, Finished("bucket", "a", Status.CHANGED, "created"), WIDE, OK)
    short, wide, _ = lines(log)
    assert short.index("created") == 2 + 8 + 1 + 35 + 1
    assert wide.endswith("on secret orders-db-password-of-long-name created, 3.0 s")


def test_in_a_log_there_is_no_code_and_no_broken_line(log: io.StringIO) -> None:
    tell(log, OK, REASON, GONE, Ended("orders", "stg", count({"a": Status.FAILED}), 1, 1))
    assert ESCAPE not in log.getvalue()
    assert f"{'':11}{LONG.strip()}" in [each.rstrip() for each in lines(log)]


def test_each_ending_has_its_colour_and_what_goes_is_red(terminal: Terminal) -> None:
    tell(terminal, OK, WIDE, REASON, GONE)
    ok, changed, failed, *_ = (
        terminal.getvalue().replace("\r", "").replace("\x1b[K", "").splitlines()
    )
    assert ok.startswith(f"  {GREEN}ok ")
    assert changed.startswith(f"  {YELLOW}changed ")
    assert failed.startswith(f"  {RED}failed ")
    assert f"{RED}would be deleted" in terminal.getvalue()


def test_a_field_that_is_taken_away_is_red_and_says_why(terminal: Terminal) -> None:
    fields = (Field("config.OLD", SENSITIVE, None, "not declared"), Field("config.NEW", None, "1"))
    tell(terminal, Finished("service", "orders", Status.CHANGED, fields=fields), diff=True)
    assert f"{RED}- config.OLD: (sensitive), not declared" in terminal.getvalue()
    assert f"{RED}+" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_no_color_is_respected_at_a_terminal(
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    coloured: bool,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tell(terminal, OK)
    assert (GREEN in terminal.getvalue()) is coloured


def test_force_color_colours_a_pipe(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    tell(log, OK)
    assert GREEN in log.getvalue()


def test_fields_are_told_when_they_are_asked_for_and_change(log: io.StringIO) -> None:
    fields = (Field("database.tier", "db-g1-small", "db-custom-2-7680"),)
    tell(log, Finished("sql instance", "orders", Status.CHANGED, fields=fields))
    assert "database.tier" not in log.getvalue()
    tell(log, Finished("sql instance", "orders", Status.CHANGED, fields=fields), diff=True)
    assert "~ database.tier: db-g1-small → db-custom-2-7680" in log.getvalue()


def test_a_log_hears_of_what_takes_long_now_and_then(log: io.StringIO) -> None:
    reporter, now = Reporter(), monotonic()
    reporter(Started("sql instance", "orders", "creating"))
    with redirect_stdout(log):
        reporter.tell_running(now + QUIET_SECONDS / 2)
        assert not log.getvalue()
        for passed in (QUIET_SECONDS + 1, QUIET_SECONDS + 10, 2 * QUIET_SECONDS + 2):
            reporter.tell_running(now + passed)
    assert lines(log) == [
        "  …        sql instance orders: creating, 31 s",
        "  …        sql instance orders: creating, 1 min 2 s",
    ]


def test_what_is_waited_for_is_said_with_its_limit(log: io.StringIO) -> None:
    reporter = Reporter()
    reporter(Started("service", "orders", "creating"))
    reporter(Waited("service", "orders", "secretAccessor on orders-db-password", 40, 420))
    with redirect_stdout(log):
        reporter.tell_running(monotonic() + QUIET_SECONDS + 1)
    assert lines(log) == [
        "  …        service orders: secretAccessor on orders-db-password, 40 s of 7 min"
    ]


def test_a_terminal_is_told_of_as_many_as_fit() -> None:
    parts = [f"sql instance number-{each} creating, 5 s" for each in range(4)]
    assert meanwhile(parts, 79) == f"  … {parts[0]}; 3 more"
    assert meanwhile(parts[:1], 79) == f"  … {parts[0]}"


def test_of_several_services_each_line_says_which(log: io.StringIO) -> None:
    names = ("orders", "payments")
    with redirect_stdout(log), Reporter(services=names) as reporter:
        for name in names:
            of_service(name, reporter)(OK)  # is only counted
            of_service(name, reporter)(MADE)
    first, second = lines(log)
    assert first.startswith("  changed  orders    account orders-run")
    assert second.startswith("  changed  payments  account orders-run")


def test_of_one_service_no_line_says_which(log: io.StringIO) -> None:
    with redirect_stdout(log), Reporter(services=("orders",)) as reporter:
        of_service("orders", reporter)(OK)
    assert lines(log) == ["  ok       account orders-run"]


def test_the_recaps_of_several_services_are_aligned() -> None:
    statuses = {str(each): Status.OK for each in range(12)}
    ended = [
        Ended("orders", "stg", count(statuses), 3, 0),
        Ended("payments", "stg", count({"a": Status.FAILED, "b": Status.BLOCKED}), 75, 1),
    ]
    first, second = recaps(ended)
    assert first == "orders-stg   : ok=12 changed=0 failed=0 blocked=0   (3.0 s)"
    assert second == "payments-stg : ok=0  changed=0 failed=1 blocked=1   (1 min 15 s)"


def test_a_run_says_what_it_is_about_and_how_it_ended(log: io.StringIO) -> None:
    counts = count({"a": Status.OK, "b": Status.SKIPPED})
    tell(
        log,
        Begun("orders", "stg", "acme-stg", "Checking"),
        OK,
        Ended("orders", "stg", counts, 0.2, 1),
    )
    assert lines(log) == [
        "Checking orders-stg in project acme-stg",
        "",
        "  ok       account orders-run",
        "",
        "orders-stg : ok=1 changed=0 failed=0 skipped=1   (0.2 s)",
    ]


@pytest.mark.parametrize(
    ("field", "line"),
    [
        (Field("a", None, True), "+ a: true"),
        (Field("a", [1], None), "- a: [1]"),
        (Field("a", SENSITIVE, SENSITIVE), "~ a: (sensitive)"),
        (Field("a", {"b": False}, "c"), "~ a: b: false → c"),
    ],
)
def test_a_change_is_one_line(field: Field, line: str) -> None:
    assert change(field) == line
