"""Facts → what would have failed, in plain words, each with what to do about it."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from infra.rehearsal.facts import Change, Facts, Migration, Revision
from infra.rehearsal.load import route
from infra.release.logs import Line, end_of

# A statement that waits for so long is noticed by callers; a pool is empty a moment later.
LONG_SECONDS = 0.5
DENIED = re.compile(r"permission\b.*\bdenied|denied\b.*\bpermission|PERMISSION_DENIED", re.I)
# https://cloud.google.com/run/docs/troubleshooting#container-failed-to-start
UNANSWERED = re.compile(r"STARTUP \w+ probe failed \d+ time", re.I)
NOT_STARTED = re.compile(
    r"Container called exit\(\d+\)|terminated on signal|failed to start and listen"
    r"|failed the configured startup probe",
    re.I,
)
LAST_LINES = 6


class Kind(StrEnum):
    """What a finding is about."""

    GRANT = "missing grant"
    SECRET = "unset secret"  # noqa: S105
    CRASH = "crash at start"
    PROBE = "failing probe"
    LOCKS = "blocking migration"
    SCHEMA = "incompatible migration"
    VARIABLE = "removed variable"
    PROVISION = "failed provision"
    MIGRATION = "failed migration"
    DEPLOY = "failed release"
    ERRORS = "errors"
    LOST = "lost requests"


@dataclass(frozen=True)
class Finding:
    """Something that would not work, and what to do."""

    kind: Kind
    what: str
    fix: str


def judge(facts: Facts) -> list[Finding]:
    """All that would not work; empty when the release would."""
    return [
        *of_secrets(facts),
        *of_provision(facts),
        *of_variables(facts),
        *of_release(facts),
        *of_locks(facts.migration),
        *of_answers(facts),
        *of_losses(facts),
    ]


def of_secrets(facts: Facts) -> Iterator[Finding]:
    """Secrets that nobody has given a value."""
    for variable, secret in facts.unset.items():
        yield Finding(
            Kind.SECRET,
            f"the secret {secret}, which {variable} is read from, is declared here and not by what "
            "is deployed: it has no value",
            f"before the release: invoke provision --env {facts.environment}, then invoke secret "
            f"set {secret} --env {facts.environment}. Once it is set: --set-secrets {secret}",
        )


def of_provision(facts: Facts) -> Iterator[Finding]:
    """Resources that could not be made what the environment's file declares."""
    failed = facts.failed
    for change in failed:
        if is_the_service(change) and facts.deploy is not None:
            continue  # what came of it is told by the release
        if is_the_service(change) and facts.tried is not None and facts.tried.trouble:
            yield of_revision(facts.tried, facts.environment)
            continue
        kind = Kind.GRANT if DENIED.search(change.reason) else Kind.PROVISION
        fix = (
            f"grant it: invoke doctor --env {facts.environment} --role prints the role that "
            "provisions and releases this tree"
            if kind is Kind.GRANT
            else f"mend it in environments/{facts.environment}.yaml, or do what it says"
        )
        yield Finding(kind, f"of the {change.kind} {change.name}: {change.reason}", fix)
    if facts.provision.status and not failed:
        yield Finding(
            Kind.PROVISION,
            f"invoke provision fails: {said_by(facts.provision.said, facts.provision.output)}",
            "do what it says",
        )


def of_variables(facts: Facts) -> Iterator[Finding]:
    """Variables that went, where the new revision then failed; those that nobody misses are fine.

    A new revision that fails for another reason has that reason told too.
    """
    after = facts.after
    if after is None or not facts.removed:
        return
    is_failing = bool(after.trouble) or any(name == after.name for name, _ in facts.failures())
    if not is_failing:
        return
    said = " ".join(line.text for line in after.log)
    for variable in facts.removed:
        place = facts.still_read.get(variable)
        if not place and variable not in said:
            continue
        where = f", and {place} still reads it" if place else ", and its log names it"
        yield Finding(
            Kind.VARIABLE,
            f"{variable} is set for what is deployed and no longer for {after.name}{where}",
            f"declare it again, in config: or secrets: of environments/{facts.environment}.yaml or "
            "in ci/cloud-run.yaml, or release code that does without it first",
        )


def of_release(facts: Facts) -> Iterator[Finding]:
    """What stopped the release."""
    if facts.deploy is None or not facts.deploy.status:
        return
    if facts.after is not None and facts.after.trouble:
        yield of_revision(facts.after, facts.environment)
    elif facts.migration is not None and facts.migration.is_failed:
        yield Finding(
            Kind.MIGRATION,
            f"the migration fails: {said_by(facts.deploy.said, facts.deploy.output)}",
            "mend the migration: nothing after it was done, and the deployed revision went on",
        )
    elif not any(secret in facts.deploy.said for secret in facts.unset.values()):
        yield Finding(
            Kind.DEPLOY,
            f"invoke deploy fails: {said_by(facts.deploy.said, facts.deploy.output)}",
            "do what it says: the deployed revision went on",
        )


def of_revision(revision: Revision, environment: str) -> Finding:
    """Why the new revision did not get ready."""
    platforms = [line.text for line in revision.log if line.by_platform]
    by_platform = " ".join([revision.trouble, *platforms])
    tail = end_of([line for line in revision.log if not line.by_platform][-LAST_LINES:])
    if "Permission denied on secret" in by_platform:
        return Finding(
            Kind.GRANT,
            f"{revision.name} may not read a secret that it is given: {revision.trouble}",
            f"declare it under secrets: of environments/{environment}.yaml: provision then grants "
            "it to the account that the service runs as",
        )
    if re.search(r"Secret \S+ was not found", by_platform):
        return Finding(
            Kind.SECRET,
            f"{revision.name} is given a secret that is not there: {revision.trouble}",
            f"declare it under secrets: of environments/{environment}.yaml and set it: invoke "
            f"secret set NAME --env {environment}",
        )
    if UNANSWERED.search(by_platform):
        kind, what = Kind.PROBE, f"{revision.name} runs, and its startup probe fails"
        what += f": GET {revision.probe} is not answered with 200 in time"
        fix = "let the probe in ci/cloud-run.yaml ask what the service answers with 200"
    elif NOT_STARTED.search(by_platform):
        kind, what = Kind.CRASH, f"{revision.name} ends while it starts"
        fix = "mend what its log says; invoke deploy tells the same on the local cloud"
        if DENIED.search(tail):
            kind = Kind.GRANT
            fix = "grant what its log says to the account that the service runs as"
    else:
        kind, what = Kind.DEPLOY, f"{revision.name} does not get ready"
        fix = "do what it says: the deployed revision went on"
    return Finding(kind, f"{what}: {revision.trouble}\nThe end of its log:\n{tail}", fix)


def of_locks(migration: Migration | None) -> Iterator[Finding]:
    """Tables whose users had to wait for the migration, or would with more rows."""
    if migration is None:
        return
    for lock in migration.locks:
        if max(lock.waited, lock.seconds) < LONG_SECONDS:
            continue
        yield Finding(
            Kind.LOCKS,
            f"the migration keeps {lock.keeps_out} out of {lock.table} for {lock.seconds:.1f} s "
            f"({lock.mode}); {lock.waiting} statements waited, the longest {lock.waited:.1f} s. "
            f"It was seen with: {lock.query}",
            "lock briefly: in steps of their own, CREATE INDEX CONCURRENTLY, constraints NOT VALID "
            "and then VALIDATE, rows changed in small batches",
        )
    for table in migration.rewritten:
        yield Finding(
            Kind.LOCKS,
            f"the migration writes the table {table} anew, and nobody can read it meanwhile: the "
            "more rows, the longer",
            "add a column of the new type, fill it in batches, and let the next release read it",
        )


def of_answers(facts: Facts) -> Iterator[Finding]:
    """Answers of 500 and more, by the revision that gave them."""
    old = {each.name for each in facts.before}
    failures = facts.failures()
    for revision in dict.fromkeys(revision for revision, _ in failures):
        answers = {asked: each for (name, asked), each in failures.items() if name == revision}
        counted = ", ".join(f"GET {asked}: {spelled(each)}" for asked, each in answers.items())
        told = f"{revision} answered {counted}"
        first = min(
            each.when for each in facts.served if each.revision == revision and each.status >= 500
        )
        if revision in old and is_due_to(facts.migration, first):
            yield Finding(
                Kind.SCHEMA,
                f"what is deployed can't live with the migration: once it had run, {told}",
                "in two releases: one that adds and leaves what is there (expand), and when nobody "
                "uses the old any more one that takes it away (contract)",
            )
        elif facts.after is not None and revision == facts.after.name:
            yield of_new_answers(facts.after, told)
        else:
            yield Finding(Kind.ERRORS, told, "see its log: it is not the new revision's doing")


def of_new_answers(revision: Revision, told: str) -> Finding:
    """Failures of the new revision, with what its log says of them."""
    if denied := [line for line in revision.log if DENIED.search(line.text)][-LAST_LINES:]:
        return Finding(
            Kind.GRANT,
            f"{told}\nThe end of its log:\n{end_of(denied)}",
            "grant what its log says to the account that the service runs as",
        )
    return Finding(
        Kind.ERRORS,
        f"{told}\nThe end of its log:\n{end_of(errors(revision))}",
        "mend it: the steps of release.canary keep it from most callers meanwhile",
    )


def of_losses(facts: Facts) -> Iterator[Finding]:
    """Requests without an answer."""
    lost = [each for each in facts.requests if each.is_lost]
    if not lost:
        return
    reasons = Counter(f"GET {route(each.path)}: {each.why}" for each in lost)
    told = "; ".join(f"{count} times {reason}" for reason, count in reasons.most_common(3))
    waits = facts.migration is not None and any(
        lock.waited >= LONG_SECONDS for lock in facts.migration.locks
    )
    yield Finding(
        Kind.LOST,
        f"{len(lost)} of {len(facts.requests)} requests got no answer: {told}",
        "they waited for the migration's locks: see there"
        if waits
        else "let the service answer what it has accepted before it ends",
    )


def remarks(facts: Facts) -> Iterator[str]:
    """What would work, and should be known before."""
    is_released = facts.deploy is not None and not facts.deploy.status
    if is_released and any(is_the_service(each) for each in facts.failed):
        yield (
            "invoke provision fails at the service, for what is deployed can't run with this "
            "tree's settings; it goes on serving. Once this tree is deployed, provision again"
        )
    for change in facts.changes:
        if change.action == "delete":
            yield f"provision deletes {change.kind} {change.name}"


def is_the_service(change: Change) -> bool:
    """Whether it is the Cloud Run service, which each release makes anew."""
    return change.kind == "service"


def is_due_to(migration: Migration | None, first: datetime) -> bool:
    """Whether a migration that changed something had begun by then."""
    if migration is None or migration.before == migration.after:
        return False
    return first >= migration.began


def errors(revision: Revision) -> list[Line]:
    """The last errors that a revision logged itself."""
    grave = {"ERROR", "CRITICAL", "ALERT", "EMERGENCY"}
    found = [line for line in revision.log if line.severity in grave and line.text.strip()]
    return found[-LAST_LINES:]


def spelled(statuses: Counter[int]) -> str:
    """How often each status came: `12 with 500, 1 with 503`."""
    return ", ".join(f"{count} with {status}" for status, count in statuses.most_common())


def said_by(said: str, output: str) -> str:
    """What a command ended with, else the end of what it printed."""
    return said.removeprefix("error: ") or "\n".join(output.splitlines()[-LAST_LINES:])
