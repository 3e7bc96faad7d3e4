"""Service Usage v1: which APIs a project has enabled."""

import uuid
from collections.abc import Iterable

from google.cloud import service_usage_v1 as su
from google.longrunning import operations_pb2  # type: ignore[import-untyped]

from infra.emulator import errors, operations, pages, projects, services
from infra.emulator.api import Api, Call
from infra.emulator.world import World

MOST_ENABLED_AT_ONCE = 20
MOST_READ_AT_ONCE = 30

_PACKAGE = "google.cloud.service_usage_v1"
_SERVICE = "ServiceUsage"

api = Api("serviceusage", prefix="/serviceusage", enabled=True)
operations.serve(api, "v1", "operations/*")


@api.method(_PACKAGE, _SERVICE, "ListServices", permission="serviceusage.services.list")
def list_services(call: Call[su.ListServicesRequest]) -> su.ListServicesResponse:
    """All that can be enabled, or by `state:ENABLED` what is."""
    wanted = call.request.filter.replace(" ", "")
    if wanted not in ("", "state:ENABLED", "state:DISABLED"):
        raise errors.invalid(f"Invalid filter: {call.request.filter}", "filter")
    found = [_service(call.world, call.request.parent, name) for name in sorted(services.TITLES)]
    found = [one for one in found if not wanted or wanted == f"state:{one.state.name}"]
    some, token = pages.page(
        found, call.request.page_size, call.request.page_token, default=50, largest=200
    )
    return su.ListServicesResponse(services=some, next_page_token=token)


@api.method(_PACKAGE, _SERVICE, "GetService", permission="serviceusage.services.get")
def get_service(call: Call[su.GetServiceRequest]) -> su.Service:
    """One API, enabled or not."""
    parent, _, name = call.request.name.partition("/services/")
    _check([name])
    return _service(call.world, parent, name)


@api.method(_PACKAGE, _SERVICE, "BatchGetServices", permission="serviceusage.services.get")
def batch_get_services(call: Call[su.BatchGetServicesRequest]) -> su.BatchGetServicesResponse:
    """Up to thirty, by full name."""
    names = [name.partition("/services/")[2] for name in call.request.names]
    if len(names) > MOST_READ_AT_ONCE:
        raise errors.invalid(f"At most {MOST_READ_AT_ONCE} services can be read.", "names")
    _check(names)
    parent = call.request.parent
    return su.BatchGetServicesResponse(
        services=[_service(call.world, parent, name) for name in names]
    )


@api.method(_PACKAGE, _SERVICE, "EnableService", permission="serviceusage.services.enable")
def enable_service(call: Call[su.EnableServiceRequest]) -> operations_pb2.Operation:
    """Enables one."""
    parent, _, name = call.request.name.partition("/services/")
    _check([name])

    def answer() -> su.EnableServiceResponse:
        return su.EnableServiceResponse(service=_service(call.world, parent, name))

    if services.is_enabled(call.world, name, _project(parent)):
        return _nothing_to_do(call.world, answer())

    def work() -> su.EnableServiceResponse:
        services.enable(call.world, name, _project(parent))
        return answer()

    metadata = su.OperationMetadata(
        resource_names=[f"{_parent(call.world, parent)}/services/{name}"]
    )
    return operations.start(
        call.world, "", metadata, su.EnableServiceResponse, work, name=_name(call.world, parent)
    )


@api.method(_PACKAGE, _SERVICE, "BatchEnableServices", permission="serviceusage.services.enable")
def batch_enable_services(call: Call[su.BatchEnableServicesRequest]) -> operations_pb2.Operation:
    """Enables up to twenty, all or none."""
    parent, names = call.request.parent, list(call.request.service_ids)
    if not 0 < len(names) <= MOST_ENABLED_AT_ONCE:
        raise errors.invalid(
            f"The number of services to enable must be between 1 and {MOST_ENABLED_AT_ONCE}.",
            "service_ids",
        )
    _check(names)

    def answer() -> su.BatchEnableServicesResponse:
        found = [_service(call.world, parent, name) for name in names]
        return su.BatchEnableServicesResponse(services=found)

    if all(services.is_enabled(call.world, name, _project(parent)) for name in names):
        return _nothing_to_do(call.world, answer())

    def work() -> su.BatchEnableServicesResponse:
        with call.world.transaction():
            for name in names:
                services.enable(call.world, name, _project(parent))
        return answer()

    prefix = f"{_parent(call.world, parent)}/services/"
    metadata = su.OperationMetadata(resource_names=[prefix + name for name in names])
    return operations.start(
        call.world,
        "",
        metadata,
        su.BatchEnableServicesResponse,
        work,
        name=_name(call.world, parent),
    )


@api.method(_PACKAGE, _SERVICE, "DisableService", permission="serviceusage.services.disable")
def disable_service(call: Call[su.DisableServiceRequest]) -> operations_pb2.Operation:
    """Disables one; what it made stays."""
    parent, _, name = call.request.name.partition("/services/")
    _check([name])
    if name in services.ALWAYS:
        raise errors.precondition(f"{name} cannot be disabled in the emulator.")
    if not services.is_enabled(call.world, name, _project(parent)):
        raise errors.precondition(f"{name} is not enabled in {parent}.")

    def work() -> su.DisableServiceResponse:
        services.disable(call.world, name, _project(parent))
        return su.DisableServiceResponse(service=_service(call.world, parent, name))

    metadata = su.OperationMetadata(
        resource_names=[f"{_parent(call.world, parent)}/services/{name}"]
    )
    return operations.start(
        call.world, "", metadata, su.DisableServiceResponse, work, name=_name(call.world, parent)
    )


def _check(names: Iterable[str]) -> None:
    unknown = [name for name in names if name not in services.TITLES]
    if unknown:
        raise errors.error(
            "PERMISSION_DENIED",
            f"Not found or permission denied for service(s): {', '.join(unknown)}.",
            "SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED",
            services=",".join(unknown),
        )


def _project(parent: str) -> str:
    return parent.partition("/")[2]


def _parent(world: World, parent: str) -> str:
    return f"projects/{projects.find(world, _project(parent)).number}"


def _service(world: World, parent: str, name: str) -> su.Service:
    enabled = services.is_enabled(world, name, _project(parent))
    number = _parent(world, parent)
    return su.Service(
        name=f"{number}/services/{name}",
        parent=number,
        config=su.ServiceConfig(name=name, title=services.TITLES[name]),
        state=su.State.ENABLED if enabled else su.State.DISABLED,
    )


def _name(world: World, parent: str) -> str:
    return f"operations/acat.p2-{_parent(world, parent).partition('/')[2]}-{uuid.uuid4()}"


def _nothing_to_do(world: World, response: object) -> operations_pb2.Operation:
    return operations.finished(world, "", None, response, name="operations/noop.DONE_OPERATION")
