"""Cloud Quotas v1: of Cloud Run's quotas, the CPUs that a project may use in a region."""

from infra.emulator import errors, projects
from infra.emulator.api import Api, Call
from infra.emulator.regions import REGIONS
from infra.emulator.world import Document

MILLI_CPUS = 200_000
_CPU = "CpuAllocPerProjectRegion"

api = Api("cloudquotas", prefix="/cloudquotas")


@api.route(
    "GET",
    "/v1/projects/{project}/locations/global/services/{service}/quotaInfos/{quota}",
    name="google.api.cloudquotas.v1.CloudQuotas.GetQuotaInfo",
)
def get_quota_info(call: Call) -> Document:
    """One quota, with its value in each region."""
    project = projects.find(call.world, call.params["project"])
    call.require("cloudquotas.quotas.get", project.name)
    service, quota = call.params["service"], call.params["quota"]
    if (service, quota) != ("run.googleapis.com", _CPU):
        raise errors.unimplemented(f"the quota {quota} of {service}")
    return {
        "name": f"{project.name}/locations/global/services/{service}/quotaInfos/{quota}",
        "quotaId": quota,
        "metric": "run.googleapis.com/cpu_allocation",
        "service": service,
        "dimensions": ["region"],
        "dimensionsInfos": [
            {
                "dimensions": {"region": region},
                "details": {"value": str(MILLI_CPUS)},
                "applicableLocations": [region],
            }
            for region in REGIONS
        ],
    }
