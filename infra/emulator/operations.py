"""Long-running operations (google.longrunning): work in the background, its result kept.

An operation that was running when the emulator stopped ends with an error at the next start.
"""

import traceback
import uuid
from collections.abc import Callable
from typing import Any

from google.longrunning import operations_pb2  # type: ignore[import-untyped]
from google.protobuf import any_pb2, duration_pb2, empty_pb2  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]

from infra.emulator import errors, faults_effects, messages
from infra.emulator.api import Api, Call
from infra.emulator.world import World

type Work = Callable[[], object]

_KIND = "operations"


def start(  # noqa: PLR0913
    world: World,
    name_prefix: str,
    metadata: object,
    response_type: object,
    work: Work,
    *,
    seconds: float = 0,
    name: str = "",
    spoil: Callable[[errors.GoogleError], object] | None = None,
) -> operations_pb2.Operation:
    """Runs `work` in a thread and returns its operation, `name_prefix/<uuid>` by name.

    `metadata` is a message or None; `work` returns a message of `response_type`, or None for
    google.protobuf.Empty, and may raise GoogleError. It takes `seconds` at least, of the cloud's
    time. `spoil` follows an error that a fault puts in the place of `work`.
    """
    operation = operations_pb2.Operation(name=name or f"{name_prefix}/{uuid.uuid4()}")
    _pack(operation.metadata, metadata)
    world.put(_KIND, operation.name, messages.dump(operation))
    effects = faults_effects.current()
    effects.begun.append(operation.name)

    due = world.clock.time() + max(seconds, effects.seconds)

    def run() -> None:
        result = operations_pb2.Operation(name=operation.name, done=True)
        try:
            try:
                effects.before_work(world, due)
            except errors.GoogleError as error:
                if spoil:
                    spoil(error)
                raise
            if world.closing.is_set():
                return
            response = work()
            _pack(result.response, response or empty_pb2.Empty())
        except errors.GoogleError as error:
            _fail(result, error)
        except Exception as error:
            if world.closing.is_set():
                return
            traceback.print_exc()
            _fail(result, errors.error("INTERNAL", f"The emulator failed: {error!r}"))
        if not world.closing.is_set():
            _finish(world, result)

    world.clock.begin_work(run, operation.name)
    return operation


def finished(
    world: World, name_prefix: str, metadata: object, response: object, name: str = ""
) -> operations_pb2.Operation:
    """Returns an operation that is over already."""
    operation = operations_pb2.Operation(name=name or f"{name_prefix}/{uuid.uuid4()}", done=True)
    _pack(operation.metadata, metadata)
    _pack(operation.response, response or empty_pb2.Empty())
    world.put(_KIND, operation.name, messages.dump(operation))
    return operation


def get(world: World, name: str) -> operations_pb2.Operation:
    """Returns an operation; 404 if there is none."""
    body = world.get(_KIND, name)
    if body is None:
        raise errors.not_found(f"Operation {name} was not found.")
    return messages.from_json(operations_pb2.Operation, body)


def update(world: World, name: str, metadata: object) -> None:
    """Replaces the metadata of an operation."""
    with world.transaction():
        operation = get(world, name)
        operation.metadata.Clear()
        _pack(operation.metadata, metadata)
        world.put(_KIND, name, messages.dump(operation))


def wait(world: World, name: str, seconds: float) -> operations_pb2.Operation:
    """Returns an operation when it is done, or as it is after some real seconds."""
    left = seconds
    while not (operation := get(world, name)).done and left > 0 and world.pause(0.05):
        left -= 0.05
    return operation


def interrupt(world: World) -> list[operations_pb2.Operation]:
    """Fails every operation that a former emulator left running; returns them."""
    failed = []
    for name, body in list(world.items(_KIND)):
        if not body.get("done"):
            operation = operations_pb2.Operation(name=name, done=True)
            message = "The emulator was stopped while this operation was running."
            _fail(operation, errors.error("ABORTED", message))
            failed.append(_finish(world, operation))
    return failed


def serve(api: Api, version: str, *shapes: str) -> None:
    """Answers for operations under `/VERSION/{name=SHAPE}`: get, wait, cancel, delete and list."""
    uris = [f"/{version}/{{name={shape}}}" for shape in shapes]
    method = "google.longrunning.Operations"

    @api.route(
        "GET", *uris, name=f"{method}.GetOperation", request=operations_pb2.GetOperationRequest
    )
    def get_operation(
        call: Call[operations_pb2.GetOperationRequest],
    ) -> operations_pb2.Operation:
        return get(call.world, call.request.name)

    @api.route(
        "POST",
        *(f"{uri}:wait" for uri in uris),
        name=f"{method}.WaitOperation",
        request=operations_pb2.WaitOperationRequest,
        body="*",
    )
    def wait_operation(
        call: Call[operations_pb2.WaitOperationRequest],
    ) -> operations_pb2.Operation:
        timeout: duration_pb2.Duration = call.request.timeout
        return wait(call.world, call.request.name, timeout.ToSeconds() or 30)

    @api.route(
        "DELETE",
        *uris,
        name=f"{method}.DeleteOperation",
        request=operations_pb2.DeleteOperationRequest,
    )
    def delete_operation(call: Call[operations_pb2.DeleteOperationRequest]) -> None:
        get(call.world, call.request.name)
        call.world.delete(_KIND, call.request.name)

    lists = {uri.rpartition("/")[0] + "}/operations" for uri in _parents(version, shapes)}

    @api.route(
        "GET",
        *sorted(lists),
        name=f"{method}.ListOperations",
        request=operations_pb2.ListOperationsRequest,
    )
    def list_operations(
        call: Call[operations_pb2.ListOperationsRequest],
    ) -> operations_pb2.ListOperationsResponse:
        bodies = call.world.list(_KIND, f"{call.request.name}/operations/")
        found = [messages.from_json(operations_pb2.Operation, body) for body in bodies]
        return operations_pb2.ListOperationsResponse(operations=found)

    for uri in uris:
        api.known("POST", f"{uri}:cancel", f"{method}.CancelOperation")


def _parents(version: str, shapes: tuple[str, ...]) -> list[str]:
    return [
        f"/{version}/{{name={shape.removesuffix('/*')}"
        for shape in shapes
        if shape.endswith("/operations/*")
    ]


def _finish(world: World, result: operations_pb2.Operation) -> operations_pb2.Operation:
    with world.transaction():
        body = world.get(_KIND, result.name)
        if body is None:
            return result
        before: operations_pb2.Operation = messages.from_json(operations_pb2.Operation, body)
        result.metadata.CopyFrom(before.metadata)
        _end(result.metadata, world)
        world.put(_KIND, result.name, messages.dump(result))
    return result


def _end(metadata: any_pb2.Any, world: World) -> None:
    """Stamps the end time into metadata that has a field for it."""
    if not metadata.type_url:
        return
    kind: Any = messages.kind_of(metadata)
    field = kind.DESCRIPTOR.fields_by_name.get("end_time")
    if field and field.message_type and field.message_type.name == "Timestamp":
        message = kind()
        metadata.Unpack(message)
        if not message.HasField("end_time"):
            message.end_time.FromDatetime(world.now())
        metadata.Pack(message)


def _fail(operation: operations_pb2.Operation, error: errors.GoogleError) -> None:
    operation.error.code = error.code
    operation.error.message = error.message


def _pack(target: any_pb2.Any, message: object) -> None:
    if message is not None:
        pb: Message = messages.to_pb(message)
        target.Pack(pb)
