"""What all lists and patches have in common: pages, field masks, etags, labels."""

import base64
import re
import secrets
from collections.abc import Iterable, Sequence

from google.protobuf.field_mask_pb2 import FieldMask  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]

from infra.emulator import errors

_LABEL = re.compile(r"[\w-]{0,63}")
_LABEL_KEY = re.compile(r"[^\W\dA-Z][^\WA-Z]{0,62}|[^\W\dA-Z][\w-]{0,62}")


def page[T](
    items: Sequence[T], size: int, token: str, *, default: int = 100, largest: int = 1000
) -> tuple[Sequence[T], str]:
    """Returns one page of a list and the token of the next, empty at the end."""
    if size < 0:
        raise errors.invalid("The page size must not be negative.", "page_size")
    try:
        begin = int(key(token)) if token else 0
    except ValueError:
        raise errors.invalid("The page token is not valid.", "page_token") from None
    begin = max(begin, 0)
    end = begin + min(size or default, largest)
    following = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else ""
    return items[begin:end], following


def key(token: str) -> str:
    """Returns what a `key_token` was made of: the name of the last result before this page."""
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError:
        raise errors.invalid("The page token is not valid.", "page_token") from None


def key_token(last: str) -> str:
    """Returns the token of the page after a name, whatever is deleted or made meanwhile."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def patch(target: Message, source: Message, mask: FieldMask, fixed: Iterable[str] = ()) -> None:
    """Puts what `mask` names from one message into another.

    Without a mask that is what the source has set, with `*` everything; the output-only and
    immutable `fixed` fields stay as they are, and naming one of them is a 400.
    """
    fixed = set(fixed)
    paths = list(mask.paths)
    if not paths:
        paths = [field.name for field, _ in source.ListFields() if field.name not in fixed]
    elif paths == ["*"]:
        paths = [field.name for field in source.DESCRIPTOR.fields if field.name not in fixed]
    for path in paths:
        if path.partition(".")[0] in fixed:
            raise errors.invalid(f"Field '{path}' cannot be changed.", "update_mask")
    whole = FieldMask(paths=paths)
    if not whole.IsValidForDescriptor(target.DESCRIPTOR):
        wrong = [
            path
            for path in paths
            if not FieldMask(paths=[path]).IsValidForDescriptor(target.DESCRIPTOR)
        ]
        raise errors.invalid(f"Invalid field mask: {', '.join(wrong)}.", "update_mask")
    whole.MergeMessage(source, target, replace_message_field=True, replace_repeated_field=True)


def check_labels(labels: Iterable[tuple[str, str]], field: str = "labels") -> None:
    """Raises 400 for labels that Google does not take (its page "Requirements for labels")."""
    for key, value in labels:
        if not _LABEL_KEY.fullmatch(key) or key != key.lower():
            raise errors.invalid(f"Invalid label key '{key}'.", field)
        if not _LABEL.fullmatch(value) or value != value.lower():
            raise errors.invalid(f"Invalid value '{value}' of the label '{key}'.", field)


def etag() -> str:
    """Returns a new etag, quoted as in HTTP."""
    return f'"{secrets.token_hex(7)}"'
