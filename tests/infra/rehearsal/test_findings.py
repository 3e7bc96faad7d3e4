"""What is made of the facts of a rehearsal: what no release of a test's can be brought to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from infra.rehearsal.facts import Change, Facts, Migration, Ran, Revision, Served
from infra.rehearsal.findings import Kind, judge, remarks
from infra.rehearsal.load import Request
from infra.rehearsal.locks import EVERY_SECONDS, Lock, Seen, summary
from infra.rehearsal.report import Report
from infra.release.logs import Line

BEGAN = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
DONE = Ran("provision", 0, "", "", 1.0)
OLD = Revision("orders-old-1", "", (), frozenset({"A", "B"}), "/health")
NEW = Revision("orders-new-1", "", (), frozenset({"A", "B"}), "/health")
MIGRATION = Migration(BEGAN, 2.0, False, "0002", "0003")
WELL = Facts(
    "prd",
    DONE,
    (Change("service", "orders", "none", "ok", "", ()),),
    deploy=DONE,
    requests=(Request("/health", 0.0, 0.1, 200),),
    before=(OLD,),
    after=NEW,
    migration=MIGRATION,
)


def served(revision: str, status: int, seconds: float, path: str = "/items/1") -> Served:
    """A request that was logged so long after the migration began."""
    return Served(revision, path, status, BEGAN + timedelta(seconds=seconds))


def line(text: str, severity: str = "ERROR") -> Line:
    """A line of a revision's log."""
    return Line("2026-03-01T12:30:00Z", severity, text)


def test_what_is_well_has_no_finding() -> None:
    assert judge(WELL) == []
    assert list(remarks(WELL)) == []
    assert Report.of(WELL).json()["works"] is True


def test_a_request_without_an_answer_is_one_too_many() -> None:
    lost = Request("/items/7", 0.0, 0.1, None, "ConnectError: refused")
    (finding,) = judge(replace(WELL, requests=(*WELL.requests, lost)))
    assert finding.kind is Kind.LOST
    assert finding.what == (
        "1 of 2 requests got no answer: 1 times GET /items/*: ConnectError: refused"
    )
    report = Report.of(replace(WELL, requests=(lost,)))
    assert report.json()["requests"] == {"sent": 1, "lost": 1, "failed": 0}


def test_failures_of_what_is_deployed_before_the_migration_are_not_its_doing() -> None:
    (before,) = judge(replace(WELL, served=(served(OLD.name, 500, -1),)))
    assert (before.kind, "not the new revision's" in before.fix) == (Kind.ERRORS, True)
    (after,) = judge(replace(WELL, served=(served(OLD.name, 500, 1), served(OLD.name, 503, 2))))
    assert after.kind is Kind.SCHEMA
    assert "orders-old-1 answered GET /items/*: 1 with 500, 1 with 503" in after.what
    nothing = replace(MIGRATION, after="0002")
    (other,) = judge(replace(WELL, served=(served(OLD.name, 500, 1),), migration=nothing))
    assert other.kind is Kind.ERRORS


def test_failures_of_the_new_revision_come_with_its_log() -> None:
    failing = replace(NEW, log=(line("all is well", "INFO"), line("KeyError: 'name'")))
    (finding,) = judge(replace(WELL, after=failing, served=(served(NEW.name, 500, 3),)))
    assert finding.kind is Kind.ERRORS
    assert "KeyError: 'name'" in finding.what
    assert "all is well" not in finding.what


def test_what_google_does_not_allow_the_service_is_a_missing_grant() -> None:
    said = "403 POST: Permission 'pubsub.topics.publish' denied on resource"
    denied = replace(NEW, log=(line(said), line("something else")))
    (finding,) = judge(replace(WELL, after=denied, served=(served(NEW.name, 500, 3),)))
    assert finding.kind is Kind.GRANT
    assert "pubsub.topics.publish" in finding.what
    assert "something else" not in finding.what


def test_a_variable_that_nobody_misses_is_no_finding() -> None:
    without = replace(NEW, variables=frozenset({"A"}))
    facts = replace(WELL, after=without, still_read={"B": "src/main.py:3"})
    assert judge(facts) == []
    assert "-B" in "\n".join(Report.of(facts).lines())
    failing = replace(facts, served=(served(NEW.name, 500, 3),))
    assert [each.kind for each in judge(failing)] == [Kind.VARIABLE, Kind.ERRORS]


def test_a_service_that_the_release_mends_is_a_note() -> None:
    failed = Change("service", "orders", "update", "failed", "it is not ready", ())
    facts = replace(WELL, provision=replace(DONE, status=1), changes=(failed,))
    assert judge(facts) == []
    (note,) = remarks(facts)
    assert "Once this tree is deployed, provision again" in note


def test_what_provision_deletes_stands_out() -> None:
    facts = replace(WELL, changes=(Change("alert policy", "old", "delete", "changed", "", ()),))
    assert list(remarks(facts)) == ["provision deletes alert policy old"]
    assert any("!! changed alert policy old" in each for each in Report.of(facts).lines())


def test_a_command_that_fails_in_another_way_has_its_own_words() -> None:
    failed = replace(DONE, name="deploy", status=1, said="error: the build failed: no such image")
    (finding,) = judge(replace(WELL, deploy=failed, after=None, migration=None))
    assert finding.kind is Kind.DEPLOY
    assert finding.what == "invoke deploy fails: the build failed: no such image"
    broken = replace(failed, said="error: the migration to head failed: exit(1)")
    undone = replace(MIGRATION, is_failed=True, after="0002")
    (finding,) = judge(replace(WELL, deploy=broken, after=None, migration=undone))
    assert finding.kind is Kind.MIGRATION


def test_a_short_lock_is_told_and_no_finding() -> None:
    lock = Lock("items", "AccessExclusiveLock", 0.1, 1, 0.05, "ALTER TABLE items")
    facts = replace(WELL, migration=replace(MIGRATION, locks=(lock,)))
    assert judge(facts) == []
    text = "\n".join(Report.of(facts).lines())
    assert "kept reads and writes out of items for 0.10 s, 1 waited, at most 0.05 s" in text
    long = replace(lock, waited=0.6)
    (finding,) = judge(replace(WELL, migration=replace(MIGRATION, locks=(long,))))
    assert finding.kind is Kind.LOCKS


def seen(at: float, mode: str, pid: int = 1, granted: bool = True) -> Seen:
    """A lock at a moment."""
    return Seen(at, pid, granted, "items", mode, 0.0 if granted else at, "ALTER")


def test_of_the_locks_of_a_table_the_weaker_one_is_told_where_it_lasts_longer() -> None:
    strong, weak = "AccessExclusiveLock", "ShareLock"
    both = [seen(0.0, weak), seen(0.0, strong), seen(1.0, weak), seen(1.0, strong)]
    assert [each.mode for each in summary(both)] == [strong]
    longer = [*both, seen(3.0, weak), seen(0.5, "AccessShareLock", pid=2, granted=False)]
    first, second = summary(longer)
    assert (first.mode, round(first.seconds, 2)) == (weak, 3.0 + EVERY_SECONDS)
    assert (second.mode, second.waiting, second.waited) == (strong, 1, 0.5)
