"""What services and jobs have in common in how they are asked about and changed."""

from collections.abc import Iterator, Sequence

import proto  # type: ignore[import-untyped]
from google.protobuf.field_mask_pb2 import FieldMask  # type: ignore[import-untyped]

from infra.emulator import errors, messages, pages
from infra.emulator.world import Document, World


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


def apply(
    target: proto.Message, given: proto.Message, mask: FieldMask | None, fixed: Sequence[str]
) -> None:
    """Puts what a mask names, or everything its owner decides on, into a resource."""
    names = [field.name for field in messages.to_pb(target).DESCRIPTOR.fields]
    own = [name for name in names if name not in (*fixed, "name")]
    paths = [path for path in (mask.paths if mask else ()) if path != "name"]
    if paths == ["*"]:
        paths = []
    paths = [path for path in paths or own if path.partition(".")[0] not in fixed]
    pages.patch(messages.to_pb(target), messages.to_pb(given), FieldMask(paths=paths))


def check_etag(given: str, current: str, name: str) -> None:
    """Refuses a change of what has been changed by somebody else."""
    if given and given != current:
        raise errors.aborted(
            f"Conflict for resource '{name.rpartition('/')[2]}': version '{given}' was specified "
            f"but current version is '{current}'."
        )
