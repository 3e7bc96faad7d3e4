"""Where it is to run, and on what: the region, the database's tier, and the region's quota."""

import re
from typing import cast

from google.cloud import sqladmin_v1beta4

from infra.doctor.base import Context, Finding, failed, ok, skipped
from infra.resources.iam import Json, send

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
    url = f"{context.cloud.url('run')}/v1/projects/{context.project}/locations"
    answer = context.read("list the regions", lambda: send(context.cloud, "GET", url))
    regions = sorted(str(each.get("locationId")) for each in listed(answer, "locations"))
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
    tiers = context.read("list the tiers", lambda: list_tiers(context))
    found = next((each for each in tiers if each.tier == wanted), None)
    if found is None:
        fix = f"Set database.tier to one of {', '.join(sorted(each.tier for each in tiers))}"
        return [failed("tier", f"Cloud SQL has no tier {wanted}", f"{fix}, or db-custom-CPUS-MB")]
    where = context.environment.region
    if found.region and where not in found.region:
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


def list_tiers(context: Context) -> list[sqladmin_v1beta4.Tier]:
    """The tiers that Cloud SQL has."""
    request = sqladmin_v1beta4.SqlTiersListRequest(project=context.project)
    client = sqladmin_v1beta4.SqlTiersServiceClient(
        credentials=context.cloud.credentials,
        transport="rest",
        client_options=context.cloud.options("sqladmin"),
    )
    return list(client.list(request).items)


def quotas(context: Context) -> list[Finding]:
    """Whether the region has CPUs for all the instances."""
    service, where = context.environment.service, context.environment.region
    url = (
        f"{context.cloud.url('cloudquotas')}/v1/projects/{context.project}/locations/global"
        f"/services/run.googleapis.com/quotaInfos/{CPU_QUOTA}"
    )
    answer = context.read("read the quota", lambda: send(context.cloud, "GET", url))
    limit = next((each for each in listed(answer, "dimensionsInfos") if is_in(each, where)), None)
    if limit is None:
        return [skipped("quotas", f"Google tells no limit of Cloud Run's CPUs in {where}")]
    most = int(str(cast("Json", limit.get("details", {})).get("value", 0))) / 1000
    wanted = service.max_instances * float(service.cpu)
    text = f"{service.max_instances} instances × {service.cpu} vCPU = {wanted:g}"  # noqa: RUF001
    if wanted <= most:
        return [ok("quotas", f"{text} of the {most:g} that Cloud Run may use in {where}")]
    console = f"https://console.cloud.google.com/iam-admin/quotas?project={context.project}"
    fix = (
        f"Set service.max_instances to at most {int(most / float(service.cpu))}, or ask: {console}"
    )
    return [failed("quotas", f"{text}, above the {most:g} that Cloud Run may use in {where}", fix)]


def is_in(info: Json, where: str) -> bool:
    """Whether a limit is one of the region's."""
    return where in cast("list[str]", info.get("applicableLocations", []))


def listed(answer: Json, key: str) -> list[Json]:
    """A list of an answer's."""
    return cast("list[Json]", answer.get(key, []))
