"""The report of a rehearsal: for people in lines, for a CI as one JSON object."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from infra.rehearsal.facts import Facts
from infra.rehearsal.findings import Finding, judge, remarks
from infra.rehearsal.load import Request, route
from infra.report import spell
from infra.yaml_file import Value

HEAD = 12
LOCKS_SHOWN = 3
SAMPLED = "none was seen; those under 0.05 s are not"


@dataclass(frozen=True)
class Report:
    """What a rehearsal came to."""

    facts: Facts
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, facts: Facts) -> "Report":
        """The report of what happened."""
        return cls(facts, tuple(judge(facts)))

    @property
    def works(self) -> bool:
        """Whether the release would."""
        return not self.findings

    def lines(self) -> Iterator[str]:
        """It for a person."""
        facts = self.facts
        yield from part("provision", provision(facts))
        yield from part("migration", migration(facts))
        yield from part("traffic", traffic(facts))
        yield from part("requests", requests(facts))
        yield from part("variables", variables(facts))
        yield from part("note", remarks(facts))
        yield ""
        if self.works:
            yield "It would work."
            return
        many = "one finding" if len(self.findings) == 1 else f"{len(self.findings)} findings"
        yield f"It would not work: {many}."
        for number, finding in enumerate(self.findings, 1):
            yield ""
            first, *rest = f"{finding.kind}: {finding.what}".splitlines()
            yield f"{number:>3}. {first}"
            yield from (f"     {line}" for line in rest)
            yield f"     → {finding.fix}"

    def json(self) -> dict[str, Value]:
        """It for a program; times in seconds."""
        facts = self.facts
        sent = facts.requests
        found: dict[str, Value] = {
            "works": self.works,
            "environment": facts.environment,
            "requests": {
                "sent": len(sent),
                "lost": sum(each.is_lost for each in sent),
                "failed": sum(each.is_failed for each in sent),
            },
            "changes": [
                {**asdict(each), "fields": list(each.fields)}
                for each in facts.changes
                if each.action != "none"
            ],
            "traffic": [{"at": round(at, 2), "split": dict(split)} for at, split in facts.traffic],
            "notes": list(remarks(facts)),
            "findings": [
                {"kind": each.kind.value, "what": each.what, "fix": each.fix}
                for each in self.findings
            ],
        }
        if facts.migration is not None:
            found["migration"] = {
                "before": facts.migration.before,
                "after": facts.migration.after,
                "seconds": round(facts.migration.seconds, 2),
                "locks": [asdict(lock) for lock in facts.migration.locks],
                "rewritten": list(facts.migration.rewritten),
            }
        return found


def part(name: str, lines: Iterator[str]) -> Iterator[str]:
    """Lines under a name that stands once; none without a line."""
    head = name
    for line in lines:
        yield f"  {head:<{HEAD}}{line}"
        head = ""


def provision(facts: Facts) -> Iterator[str]:
    """How many resources ended how, and each that was changed or failed."""
    counts = Counter(each.status for each in facts.changes)
    told = " ".join(f"{status}={counts[status]}" for status in ("ok", "changed", "failed"))
    yield f"{told}, {spell(facts.provision.seconds)}"
    for each in facts.changes:
        if each.action == "none" and each.status == "ok":
            continue
        mark = "!!" if each.action == "delete" else "  "
        fields = f": {', '.join(each.fields)}" if each.fields and each.action == "update" else ""
        yield f"{mark} {each.status} {each.kind} {each.name}, {each.action}{fields}"


def migration(facts: Facts) -> Iterator[str]:
    """From where to where, how long, and what was locked meanwhile."""
    found = facts.migration
    if found is None:
        return
    if found.before == found.after:
        yield f"nothing to do at {found.after or 'no revision'}, {spell(found.seconds)}"
        return
    yield f"{found.before or 'nothing'} → {found.after}, {spell(found.seconds)} with its start"
    for lock in found.locks[:LOCKS_SHOWN]:
        waited = f", {lock.waiting} waited, at most {lock.waited:.2f} s" if lock.waiting else ""
        yield f"kept {lock.keeps_out} out of {lock.table} for {lock.seconds:.2f} s{waited}"
    if not found.locks:
        yield f"locks against others: {SAMPLED}"
    yield from (f"wrote {table} anew" for table in found.rewritten)


def traffic(facts: Facts) -> Iterator[str]:
    """The steps, and when each was taken."""
    for at, split in facts.traffic:
        parts = (f"{called(facts, revision)} {percent} %" for revision, percent in split)
        yield f"{at:5.1f} s  {', '.join(parts) or 'nobody serves'}"


def called(facts: Facts, revision: str) -> str:
    """What a revision is to who reads it."""
    if facts.after is not None and revision == facts.after.name:
        return "this tree"
    return "deployed" if revision in {each.name for each in facts.before} else revision or "nobody"


def requests(facts: Facts) -> Iterator[str]:
    """How many were sent, and what became of them, by path and by revision."""
    sent = facts.requests
    if not sent:
        return
    lost = sum(each.is_lost for each in sent)
    failed = sum(each.is_failed for each in sent)
    yield f"{len(sent)} sent, {lost} lost, {failed} answered with 5xx"
    for asked in sorted({route(each.path) for each in sent}):
        yield of_route(asked, [each for each in sent if route(each.path) == asked])
    by_revision = Counter(each.revision for each in facts.served)
    answered = (f"{called(facts, name)} {count}" for name, count in by_revision.items())
    if by_revision:
        yield f"answered by {', '.join(answered)}"


def of_route(asked: str, sent: list[Request]) -> str:
    """What became of the requests to a route."""
    statuses = Counter("lost" if each.status is None else str(each.status) for each in sent)
    counted = ", ".join(f"{count} with {status}" for status, count in statuses.most_common())
    slowest = max(each.seconds for each in sent)
    return f"GET {asked}: {counted}, the slowest {slowest:.2f} s"


def variables(facts: Facts) -> Iterator[str]:
    """Those that the new revision has and the old one has not, and the other way round."""
    changed = [f"+{name}" for name in facts.added] + [f"-{name}" for name in facts.removed]
    if changed:
        yield " ".join(changed)
