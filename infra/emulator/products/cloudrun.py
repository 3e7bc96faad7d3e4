"""Cloud Run v2: services and their revisions. Jobs are in cloudrun_jobs.py, the rules in run/."""

from google.cloud import run_v2
from google.longrunning import operations_pb2  # type: ignore[import-untyped]

from infra.emulator import errors, messages, operations, pages, policies
from infra.emulator.api import Api, Call
from infra.emulator.machine import Machine
from infra.emulator.run import conditions, defaults, documents, revisions
from infra.emulator.run.requests import apply, begin, check_etag, listed, operations_of, stamp
from infra.emulator.run.services import SERVICE_CONDITIONS, Services
from infra.emulator.world import World

PACKAGE = "google.cloud.run_v2"

api = Api("run", prefix="/run")
api.part(Machine)
api.part(Services)
api.client(PACKAGE, "Services", "Revisions", "WorkerPools", "Builds")
operations.serve(api, "v2", "projects/*/locations/*/operations/*")

type Changes = Call[run_v2.CreateServiceRequest] | Call[run_v2.UpdateServiceRequest]


@api.method(PACKAGE, "Services", "CreateService", permission="run.services.create")
def create_service(call: Call[run_v2.CreateServiceRequest]) -> operations_pb2.Operation:
    """A new service; its first revision is made in the background."""
    request = call.request
    defaults.check_id(request.service_id, "service_id")
    name = f"{request.parent}/services/{request.service_id}"
    if call.world.get(documents.SERVICES, name) is not None:
        raise errors.already_exists(f"Resource '{request.service_id}' already exists.")
    return _create(call, name, request.service, validate_only=request.validate_only)


@api.method(PACKAGE, "Services", "GetService", permission="run.services.get")
def get_service(call: Call[run_v2.GetServiceRequest]) -> run_v2.Service:
    """One service."""
    return documents.get_service(call.world, call.request.name)


@api.method(PACKAGE, "Services", "ListServices", permission="run.services.list")
def list_services(call: Call[run_v2.ListServicesRequest]) -> run_v2.ListServicesResponse:
    """The services of a region, or of all for the location `-`."""
    found = listed(
        call.world, documents.SERVICES, run_v2.Service, f"{call.request.parent}/services/"
    )
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return run_v2.ListServicesResponse(services=some, next_page_token=token)


@api.method(PACKAGE, "Services", "UpdateService", permission="run.services.update")
def update_service(call: Call[run_v2.UpdateServiceRequest]) -> operations_pb2.Operation:
    """Changes a service: what the mask names, or without one everything."""
    request = call.request
    name = request.service.name
    if call.world.get(documents.SERVICES, name) is None and request.allow_missing:
        call.require("run.services.create", name.rpartition("/services/")[0])
        defaults.check_id(name.rpartition("/")[2], "service.name")
        return _create(call, name, request.service, validate_only=request.validate_only)
    with call.world.transaction():
        service = documents.get_service(call.world, name)
        check_etag(request.service.etag, service.etag, name)
        before = run_v2.Service(messages.to_pb(service))
        apply(service, request.service, messages.to_pb(request).update_mask)
        _check(call, service)
        _stamp(call, service, before.generation + 1)
        if not request.validate_only:
            documents.put_service(call.world, service)
    return _start(call, service, validate_only=request.validate_only)


@api.method(PACKAGE, "Services", "DeleteService", permission="run.services.delete")
def delete_service(call: Call[run_v2.DeleteServiceRequest]) -> operations_pb2.Operation:
    """Ends a service; it is gone when the operation is done."""
    with call.world.transaction():
        service = documents.get_service(call.world, call.request.name)
        check_etag(call.request.etag, service.etag, service.name)
        prefix = operations_of(service.name)
        if call.request.validate_only:
            return operations.finished(call.world, prefix, service, service)
        before = run_v2.Service(messages.to_pb(service))
        service.delete_time = service.expire_time = call.world.now()
        service.reconciling = True
        documents.put_service(call.world, service)

    def work() -> run_v2.Service:
        call.cloud.part(Services).remove(service.name)
        service.reconciling = False
        return service

    def spoil(_: errors.GoogleError) -> None:
        documents.put_service(call.world, before)

    return operations.start(call.world, prefix, service, run_v2.Service, work, spoil=spoil)


policies.serve(api, PACKAGE, "Services", "run.services", documents.get_service)


@api.method(PACKAGE, "Revisions", "GetRevision", permission="run.revisions.get")
def get_revision(call: Call[run_v2.GetRevisionRequest]) -> run_v2.Revision:
    """One revision."""
    return _revision(call.world, call.request.name)


@api.method(PACKAGE, "Revisions", "ListRevisions", permission="run.revisions.list")
def list_revisions(call: Call[run_v2.ListRevisionsRequest]) -> run_v2.ListRevisionsResponse:
    """A service's revisions, the newest first; of all services for `services/-`."""
    found = listed(
        call.world, documents.REVISIONS, run_v2.Revision, f"{call.request.parent}/revisions/"
    )
    found.sort(key=lambda one: one.create_time, reverse=True)
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return run_v2.ListRevisionsResponse(revisions=some, next_page_token=token)


@api.method(PACKAGE, "Revisions", "DeleteRevision", permission="run.revisions.delete")
def delete_revision(call: Call[run_v2.DeleteRevisionRequest]) -> operations_pb2.Operation:
    """Ends a revision that gets no requests and is not the latest."""
    revision = _revision(call.world, call.request.name)
    check_etag(call.request.etag, revision.etag, revision.name)
    service = documents.get_service(call.world, revision.name.partition("/revisions/")[0])
    short = revision.name.rpartition("/")[2]
    named = {target.revision for target in service.traffic}
    latest = (service.latest_created_revision, service.latest_ready_revision)
    if short in named or revision.name in latest:
        raise errors.precondition(
            f"Revision '{short}' cannot be deleted: it is the latest one, or traffic names it."
        )
    prefix = operations_of(service.name)
    if call.request.validate_only:
        return operations.finished(call.world, prefix, revision, revision)

    def work() -> run_v2.Revision:
        call.cloud.part(Services).remove_revision(revision.name)
        revision.delete_time = call.world.now()
        return revision

    return operations.start(call.world, prefix, revision, run_v2.Revision, work)


def _create(
    call: Changes, name: str, given: run_v2.Service, *, validate_only: bool
) -> operations_pb2.Operation:
    service = run_v2.Service(name=name)
    apply(service, given)
    begin(call, service)
    _check(call, service)
    _stamp(call, service, 1)
    if not validate_only:
        call.world.put(documents.SERVICES, name, messages.dump(service), expect=0)
    return _start(call, service, validate_only=validate_only)


def _check(call: Changes, service: run_v2.Service) -> None:
    """Fills in what a service leaves out, and refuses what is wrong with it."""
    template = service.template
    defaults.check_labels("service", service.labels, service.annotations)
    defaults.check_labels("service.template", template.labels, template.annotations)
    defaults.check_containers(template.containers, template.volumes, "service.template")
    defaults.fill_service(call.world, service)
    defaults.check_traffic(service)
    project = service.name.split("/")[1]
    defaults.check_account(call.world, call.caller, template.service_account, project)
    if not template.revision:
        return
    short = service.name.rpartition("/")[2]
    if not template.revision.startswith(f"{short}-") or len(template.revision) > 63:
        raise errors.invalid(
            f"Revision name {template.revision!r} must be prefixed by the service's name and a "
            "hyphen, and have at most 63 characters.",
            "service.template.revision",
        )
    full = f"{service.name}/revisions/{template.revision}"
    exists = documents.find_revision(call.world, full) is not None
    if exists and not revisions.same(call.world, full, template):
        raise errors.already_exists(
            f"Revision named '{template.revision}' with different configuration already exists."
        )


def _stamp(call: Changes, service: run_v2.Service, generation: int) -> None:
    stamp(call, service, generation)
    service.conditions = conditions.all_of(
        SERVICE_CONDITIONS, conditions.RECONCILING, service.update_time
    )


def _start(
    call: Changes, service: run_v2.Service, *, validate_only: bool
) -> operations_pb2.Operation:
    prefix = operations_of(service.name)
    if validate_only:
        return operations.finished(call.world, prefix, service, service)

    def work() -> run_v2.Service:
        return call.cloud.part(Services).reconcile(service)

    def spoil(error: errors.GoogleError) -> None:
        call.cloud.part(Services).spoil(service, error)

    return operations.start(call.world, prefix, service, run_v2.Service, work, spoil=spoil)


def _revision(world: World, name: str) -> run_v2.Revision:
    revision = documents.find_revision(world, name)
    if revision is None:
        _, project, _, location, _, _, _, short = name.split("/")
        raise errors.not_found(
            f"Resource '{short}' of kind 'REVISION' in region '{location}' in project '{project}' "
            "does not exist."
        )
    return revision
