"""Cloud SQL's machine types: what vCPUs and memory their names stand for.

cloud.google.com/sql/docs/postgres/instance-settings, and for shared cores the page on pricing.
"""

import re

SHARED = {"db-f1-micro": 614, "db-g1-small": 1740}
"""Memory in MB; their core is shared."""
PER_CPU = {
    "db-perf-optimized-N": 8192,
    "db-c4a-highmem": 8192,
    "db-n1-standard": 3840,
    "db-n1-highmem": 6656,
}
CUSTOM = re.compile(r"db-custom-(\d+)-(\d+)")
NAMED = re.compile(r"(db-[a-z0-9-]+?(?:-N)?)-(\d+)(?:-lssd)?")


def cpus(tier: str) -> int | None:
    """The vCPUs of a tier: 0 for a shared core, None for a tier that is not known here."""
    if tier in SHARED:
        return 0
    if custom := CUSTOM.fullmatch(tier):
        return int(custom[1])
    named = NAMED.fullmatch(tier)
    return int(named[2]) if named and named[1] in PER_CPU else None


def megabytes(tier: str) -> int | None:
    """The memory of a tier, in MB; None for a tier that is not known here."""
    if tier in SHARED:
        return SHARED[tier]
    if custom := CUSTOM.fullmatch(tier):
        return int(custom[2])
    named = NAMED.fullmatch(tier)
    return int(named[2]) * PER_CPU[named[1]] if named and named[1] in PER_CPU else None
