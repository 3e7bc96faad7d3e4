"""What a rehearsal finds: each thing that would break production, and none that wouldn't.

One cloud is for all of it, and what is deployed there serves on after each release that fails.
"""

import re
import sys
from pathlib import Path

import pytest
from invoke.context import Context

from infra.environment import load
from infra.project import Project, ProjectError
from infra.rehearsal.findings import Finding, Kind
from infra.rehearsal.report import Report
from infra.tasks.rehearse import ask
from tests.conftest import Bake
from tests.end_to_end.rehearsals import (
    MAIN,
    MANIFEST,
    MODEL,
    PRODUCTION,
    Deployed,
    deployed,
    edit,
    migrate,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the emulator's signals")

DEPLOYER = "impersonate: deployer@orders-prd.iam.gserviceaccount.com\n"
GREETING = "  SHOP__GREETING: hello\n"
READS_IT = '\n__import__("os").environ["SHOP__GREETING"]\n'
DESCRIPTION = "    description: Text | None = Field(default=None, max_length=1000)\n"
SHARED = """\
            - name: SHARED__KEY
              valueFrom:
                secretKeyRef:
                  name: shared-key
                  key: "1"
"""
STARTUP = """\
          startupProbe:
            httpGet:
              path: /health
              port: 8080
            periodSeconds: 3
            timeoutSeconds: 3
            failureThreshold: 40
"""
# A second in all, where what serves has a minute.
IMPATIENT = STARTUP.replace("/health", "/nowhere").replace("3\n", "1\n").replace("40", "2")


@pytest.mark.long
def test_it_finds_what_would_break_production(
    baked: Bake, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    service = baked(service="rehearsed")
    edit(
        service.folder,
        {
            PRODUCTION: ("config: {}", f"config:\n{GREETING}"),
            MAIN: ("", READS_IT),
        },
    )
    edit(service.folder, {PRODUCTION: ("region:", f"{DEPLOYER}region:")})
    edit(service.folder, {PRODUCTION: ("  canary: [10, 50]", "  canary: []")})
    text = (service.folder / PRODUCTION).read_text()
    monitoring = re.search(r"^monitoring:.*\n(?:  .*\n)+\n", text, re.MULTILINE)
    assert monitoring is not None
    edit(service.folder, {PRODUCTION: (monitoring[0], "")})
    with deployed(service, tmp_path) as over:
        for look in (
            a_grant_that_the_provisioner_lacks,
            a_grant_that_the_service_lacks,
            a_secret_that_nobody_set,
            a_crash_at_start,
            a_probe_that_fails,
            a_variable_that_went,
        ):
            with subtests.test(look.__name__):
                look(over)
            over.restore()
        with subtests.test("what is deployed is asked of the cloud"):
            be_told_what_is_deployed(over)
        # From here on the database is ahead of what was deployed first.
        for look in (a_migration_that_blocks, a_migration_that_breaks_what_serves):
            with subtests.test(look.__name__):
                look(over)


def be_told_what_is_deployed(over: Deployed) -> None:
    secrets = ("secrets: {}", "secrets:\n  SHARED__KEY: shared-key\n  PAYMENT__KEY: payment-key")
    tree = over.tree("live", {PRODUCTION: secrets})
    with pytest.raises(ProjectError, match=f"there is no commit {over.commit} in the repository"):
        ask(Context(), Project(tree), load(tree, "prd"), frozenset())
    # The same files, where git knows them.
    declared = load(tree, "prd")
    known = ask(Context(), Project(over.folder), declared, frozenset())
    assert known.deployed.commit == over.commit
    assert re.fullmatch(r"which serves as rehearsed-[0-9a-f]{7}-\d+", known.deployed.why)
    assert known.set_secrets == {"shared-key"}


def found(report: Report, kind: Kind) -> Finding:
    """The one finding of the kind; and nobody was kept waiting for an answer in vain."""
    findings = [each for each in report.findings if each.kind is kind]
    assert len(findings) == 1, report.findings
    return findings[0]


def kinds(report: Report) -> list[Kind]:
    """What the findings are about."""
    return [each.kind for each in report.findings]


def serves_on(report: Report) -> bool:
    """Whether what was deployed answered all requests well, and has all the traffic still."""
    facts = report.facts
    well = all(each.status == 200 for each in facts.requests) and len(facts.requests) >= 40
    return well and facts.traffic[-1][1] == ((facts.before[0].name, 100),)


def a_grant_that_the_provisioner_lacks(over: Deployed) -> None:
    tree = over.tree("provisioner", {PRODUCTION: ("release:", "monitoring: {}\nrelease:")})
    report = over.release(tree)
    assert set(kinds(report)) == {Kind.GRANT}
    assert any("monitoring." in each.what for each in report.findings)
    assert all("invoke doctor --env prd --role" in each.fix for each in report.findings)
    assert report.facts.deploy is None
    assert serves_on(report)


def a_grant_that_the_service_lacks(over: Deployed) -> None:
    tree = over.tree("grant", {MANIFEST: ("          env:\n", f"          env:\n{SHARED}")})
    report = over.release(tree, set_secrets="shared-key")
    grant = found(report, Kind.GRANT)
    assert "Permission denied on secret" in grant.what
    assert "shared-key" in grant.what
    assert "under secrets: of environments/prd.yaml" in grant.fix
    assert kinds(report) == [Kind.GRANT]
    assert serves_on(report)


def a_secret_that_nobody_set(over: Deployed) -> None:
    secrets = ("secrets: {}", "secrets:\n  PAYMENT__KEY: payment-key")
    tree = over.tree("secret", {PRODUCTION: secrets})
    report = over.release(tree)
    secret = found(report, Kind.SECRET)
    assert "payment-key, which PAYMENT__KEY is read from" in secret.what
    assert "invoke secret set payment-key --env prd" in secret.fix
    assert kinds(report) == [Kind.SECRET]
    assert serves_on(report)


def a_crash_at_start(over: Deployed) -> None:
    tree = over.tree("crash", {MAIN: ("", '\nraise RuntimeError("this can not start")\n')})
    report = over.release(tree)
    assert "this can not start" in found(report, Kind.CRASH).what
    assert kinds(report) == [Kind.CRASH]
    assert serves_on(report)


def a_probe_that_fails(over: Deployed) -> None:
    tree = over.tree("probe", {MANIFEST: (STARTUP, IMPATIENT)})
    report = over.release(tree)
    probe = found(report, Kind.PROBE)
    assert "/nowhere" in probe.what
    assert "ci/cloud-run.yaml" in probe.fix
    assert kinds(report) == [Kind.PROBE]
    assert serves_on(report)


def a_variable_that_went(over: Deployed) -> None:
    tree = over.tree("variable", {PRODUCTION: (GREETING, "  OTHER: one\n")})
    report = over.release(tree)
    variable = found(report, Kind.VARIABLE)
    assert "SHOP__GREETING is set for what is deployed and no longer" in variable.what
    assert re.search(r"src/main\.py:\d+ still reads it", variable.what)
    assert kinds(report) == [Kind.VARIABLE, Kind.CRASH]
    assert report.facts.added == ["OTHER"]
    assert serves_on(report)


def a_migration_that_blocks(over: Deployed) -> None:
    tree = over.tree("blocks", {})
    migrate(
        tree,
        "0003",
        "0002",
        "EXECUTE 'ALTER TABLE items ALTER COLUMN name TYPE varchar(300) USING name || '''''; "
        "PERFORM pg_sleep(2);",
    )
    report = over.release(tree)
    assert kinds(report) == [Kind.LOCKS, Kind.LOCKS]
    lock, rewrite = (each.what for each in report.findings)
    assert "keeps reads and writes out of items for 2." in lock
    assert "AccessExclusiveLock" in lock
    assert "writes the table items anew" in rewrite
    migration = report.facts.migration
    assert migration is not None
    assert (migration.before, migration.after) == ("0002", "0003")
    held = next(each for each in migration.locks if each.table == "items")
    assert held.waiting > 0
    assert 1 < held.waited < 3
    # They waited, and were answered.
    assert all(each.status == 200 for each in report.facts.requests)


def a_migration_that_breaks_what_serves(over: Deployed) -> None:
    tree = over.tree("breaks", {MODEL: (DESCRIPTION, "")})
    migrate(tree, "0003", "0002", "PERFORM 1;")
    migrate(tree, "0004", "0003", "EXECUTE 'ALTER TABLE items DROP COLUMN description';")
    report = over.release(tree, requests=100)
    assert kinds(report) == [Kind.SCHEMA]
    schema = found(report, Kind.SCHEMA)
    old, new = report.facts.before[0].name, report.facts.after
    assert new is not None
    assert f"once it had run, {old} answered GET /items/" in schema.what
    assert "GET /health" not in schema.what
    assert "expand" in schema.fix
    # It got to its end, and serves well: the fault is in between.
    assert report.facts.traffic[-1][1] == ((new.name, 100),)
    assert not any(each.is_lost for each in report.facts.requests)
    text = "\n".join(report.lines())
    assert "It would not work" in text
    assert "incompatible migration: what is deployed can't live with the migration" in text
