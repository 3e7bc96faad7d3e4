"""Where it is to run, and on what: the region, the database's tier, and the region's quota."""

import re

from infra.doctor.base import Context, Finding, failed, ok, skipped
from infra.resources.asks import at, listed, text
from infra.rest import Json, Request

CUSTOM = re.compile(r"db-custom-(?P<cpus>\d+)-(?P<megabytes>\d+)")
MOST_CPUS = 96
LEAST_MEGABYTES = 3840
STEP_MEGABYTES = 256
PER_CPU = (922, 6656)
"""Megabytes: 0.9 to 6.5 GB for each vCPU."""
CPU_QUOTA = "CpuAllocPerProjectRegion"


def region(context: Context) -> list[Finding]:
    """Whether Cloud Run is in the region."""
    wanted = context.environment.region
    request = Request("run", f"v1/projects/{context.project}/locations", items="locations")
    answer = {"locations": context.fetch("list the regions", request)}
    regions = sorted(text(each, "locationId") for each in listed(answer, "locations"))
    if wanted in regions:
        return [ok("region", f"Cloud Run is in {wanted}")]
    fix = f"Set region: to one of {', '.join(regions)}"
    return [failed("region", f"Cloud Run is not in {wanted}", fix)]


def tier(context: Context) -> list[Finding]:
    """Whether Cloud SQL has the tier, in the region."""
    wanted = context.environment.database.tier
    custom = CUSTOM.fullmatch(wanted)
    if custom:
        return custom_tier(wanted, int(custom["cpus"]), int(custom["megabytes"]))
    request = Request("sqladmin", f"sql/v1beta4/projects/{context.project}/tiers")
    tiers = {
        text(each, "tier"): each
        for each in listed(context.fetch("list the tiers", request), "items")
    }
    if wanted not in tiers:
        fix = f"Set database.tier to one of {', '.join(sorted(tiers))}"
        return [failed("tier", f"Cloud SQL has no tier {wanted}", f"{fix}, or db-custom-CPUS-MB")]
    where, regions = context.environment.region, at(tiers[wanted], "region")
    if isinstance(regions, list) and where not in regions:
        fix = "Set another region, or another database.tier"
        return [failed("tier", f"Cloud SQL has no {wanted} in {where}", fix)]
    return [ok("tier", f"Cloud SQL has {wanted}")]


def custom_tier(wanted: str, cpus: int, megabytes: int) -> list[Finding]:
    """Whether Cloud SQL makes such a machine: cloud.google.com/sql/docs/postgres, "Create
    instances", on vCPUs and memory."""
    low, high = (round(cpus * each) for each in PER_CPU)
    low = max(LEAST_MEGABYTES, -(-low // STEP_MEGABYTES) * STEP_MEGABYTES)
    if cpus != 1 and (cpus % 2 or cpus > MOST_CPUS):
        text = f"vCPUs must be 1, or an even number up to {MOST_CPUS}"
    elif megabytes % STEP_MEGABYTES:
        text = f"memory must be a multiple of {STEP_MEGABYTES} MB"
    elif not low <= megabytes <= high:
        text = f"memory must be between {low} and {high} MB with {cpus} vCPU"
    else:
        return [ok("tier", f"{wanted} is {cpus} vCPU with {megabytes / 1024:g} GB")]
    return [failed("tier", f"Cloud SQL makes no {wanted}: {text}", "Correct database.tier")]


def quotas(context: Context) -> list[Finding]:
    """Whether the region has CPUs for all the instances."""
    service, where = context.environment.service, context.environment.region
    services = f"v1/projects/{context.project}/locations/global/services"
    request = Request("cloudquotas", f"{services}/run.googleapis.com/quotaInfos/{CPU_QUOTA}")
    answer = context.fetch("read the quota", request)
    limit = next((each for each in listed(answer, "dimensionsInfos") if is_in(each, where)), None)
    if limit is None:
        return [skipped("quotas", f"Google tells no limit of Cloud Run's CPUs in {where}")]
    most = int(text(limit, "details", "value") or 0) / 1000
    wanted = service.max_instances * float(service.cpu)
    arithmetic = f"{service.max_instances} instances × {service.cpu} vCPU = {wanted:g}"  # noqa: RUF001
    if wanted <= most:
        return [ok("quotas", f"{arithmetic} of the {most:g} that Cloud Run may use in {where}")]
    console = f"https://console.cloud.google.com/iam-admin/quotas?project={context.project}"
    fix = (
        f"Set service.max_instances to at most {int(most / float(service.cpu))}, or ask: {console}"
    )
    return [
        failed("quotas", f"{arithmetic}, above the {most:g} that Cloud Run may use in {where}", fix)
    ]


def is_in(info: Json, where: str) -> bool:
    """Whether a limit is one of the region's."""
    locations = at(info, "applicableLocations")
    return isinstance(locations, list) and where in locations
