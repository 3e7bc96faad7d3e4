"""What services and jobs have in common in how they are asked about and changed."""

from collections.abc import Iterator

import proto  # type: ignore[import-untyped]
from google.cloud import run_v2
from google.protobuf.field_mask_pb2 import FieldMask  # type: ignore[import-untyped]

from infra.emulator import errors, messages, pages
from infra.emulator.api import Call
from infra.emulator.run import conditions
from infra.emulator.run.documents import uid
from infra.emulator.world import Document, World

# What the caller does not decide.
FIXED = (
    "uid",
    "generation",
    "create_time",
    "update_time",
    "delete_time",
    "expire_time",
    "creator",
    "last_modifier",
    "urls",
    "observed_generation",
    "terminal_condition",
    "conditions",
    "latest_ready_revision",
    "latest_created_revision",
    "traffic_statuses",
    "uri",
    "execution_count",
    "latest_created_execution",
    "satisfies_pzs",
    "reconciling",
    "etag",
)


def find(world: World, kind: str, prefix: str) -> Iterator[Document]:
    """Documents whose names begin so, where `-` stands for any one segment."""
    if "/-/" not in prefix:
        yield from world.list(kind, prefix)
        return
    wanted = prefix.rstrip("/").split("/")
    for name, body in world.items(kind, prefix.partition("/-/")[0] + "/"):
        parts = name.split("/")[: len(wanted)]
        if all(one in ("-", part) for one, part in zip(wanted, parts, strict=False)):
            yield body


def listed[M: proto.Message](world: World, kind: str, message: type[M], prefix: str) -> list[M]:
    """The resources whose names begin so."""
    return [messages.from_json(message, body) for body in find(world, kind, prefix)]


def apply(target: proto.Message, given: proto.Message, mask: FieldMask | None = None) -> None:
    """Puts what a mask names, or everything its owner decides on, into a resource."""
    names = [field.name for field in messages.to_pb(target).DESCRIPTOR.fields]
    own = [name for name in names if name not in (*FIXED, "name")]
    paths = [path for path in (mask.paths if mask else ()) if path != "name"]
    if paths == ["*"]:
        paths = []
    paths = [path for path in paths or own if path.partition(".")[0] not in FIXED]
    pages.patch(messages.to_pb(target), messages.to_pb(given), FieldMask(paths=paths))


def check_etag(given: str, current: str, name: str) -> None:
    """Refuses a change of what has been changed by somebody else."""
    if given and given != current:
        raise errors.aborted(
            f"Conflict for resource '{name.rpartition('/')[2]}': version '{given}' was specified "
            f"but current version is '{current}'."
        )


def begin[R](call: Call[R], resource: run_v2.Service | run_v2.Job) -> None:
    """Notes who made a resource."""
    resource.uid = uid()
    resource.create_time = call.world.now()
    resource.creator = call.caller.email


def stamp[R](call: Call[R], resource: run_v2.Service | run_v2.Job, generation: int) -> None:
    """Notes a change that is about to be carried out."""
    now = call.world.now()
    resource.generation = generation
    resource.update_time = now
    resource.last_modifier = call.caller.email
    resource.reconciling = True
    resource.etag = pages.etag()
    resource.terminal_condition = conditions.condition("Ready", conditions.RECONCILING, now)


def operations_of(name: str) -> str:
    """Where the operations on a resource are."""
    return f"{'/'.join(name.split('/')[:4])}/operations"
