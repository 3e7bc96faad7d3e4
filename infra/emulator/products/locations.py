"""Cloud Run v1: the regions it is in. (Version 2 of its API has no list of them.)"""

from infra.emulator import projects
from infra.emulator.api import Api, Call
from infra.emulator.regions import REGIONS
from infra.emulator.world import Document

api = Api("run", prefix="/run")


@api.route(
    "GET",
    "/v1/projects/{project}/locations",
    name="google.cloud.run.v1.Locations.ListLocations",
)
def list_locations(call: Call) -> Document:
    """The regions, on one page."""
    project = projects.find(call.world, call.params["project"])
    call.require("run.locations.list", project.name)
    return {
        "locations": [
            {
                "name": f"{project.name}/locations/{region}",
                "locationId": region,
                "labels": {"cloud.googleapis.com/region": region},
            }
            for region in REGIONS
        ]
    }
