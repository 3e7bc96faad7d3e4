"""JSON in and out of Google's message types, as strictly as Google's front end does it."""

import json
import re
from typing import Any, cast

from google.protobuf import (  # type: ignore[import-untyped]
    any_pb2,
    descriptor_pool,
    json_format,
    message_factory,
)
from google.protobuf.descriptor import (  # type: ignore[import-untyped]
    Descriptor,
    FieldDescriptor,
)
from google.protobuf.message import Message  # type: ignore[import-untyped]

from infra.emulator import clients, errors

# What Google's front end takes for itself (cloud.google.com/apis/docs/system-parameters).
SYSTEM_PARAMETERS = {
    "$.xgafv",
    "$alt",
    "$callback",
    "$fields",
    "$key",
    "$prettyPrint",
    "$userProject",
    "access_token",
    "alt",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "upload_protocol",
    "uploadType",
    "userProject",
}

_UNKNOWN = re.compile(r'has no field named "(?P<field>[^"]*)"(?: at "(?P<path>[^"]*)")?')
_PLACE = re.compile(r" at \w+\.(?P<path>[\w.]+?)\.*$")
_FAILED = re.compile(r"Failed to parse (?P<field>\S+) field: (?P<why>.*)", re.DOTALL)


def parse(
    kind: Any,
    body: bytes,
    *,
    body_field: str | None,
    query: list[tuple[str, str]],
    path: dict[str, str],
) -> Any:
    """Makes a request message of everything a call carries; a field that is not there is a 400.

    `kind` is a proto-plus or a protobuf class; `body_field` is `*`, a field's name or None.
    """
    pb = clients.message_class(kind)()
    if body.strip():
        content = load(body)
        if body_field is None and content:
            raise errors.invalid("Invalid JSON payload received. The request has no body.")
        if body_field:
            _merge(content if body_field == "*" else {body_field: content}, pb)
    _merge(_nested(pb.DESCRIPTOR, query), pb)
    _merge(_nested(pb.DESCRIPTOR, list(path.items())), pb)
    return pb if kind is type(pb) else kind.wrap(pb)


def to_bytes(content: Any) -> bytes:
    """Writes JSON, for `parse` to read."""
    return json.dumps(content).encode()


def load(body: bytes) -> Any:
    """Parses JSON; what is none is a 400."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise errors.invalid(f"Invalid JSON payload received. {error}") from None


def dump(message: Any, *, enums_as_numbers: bool = False) -> dict[str, Any]:
    """Returns a message as Google's JSON."""
    pb = to_pb(message)
    body: dict[str, Any] = json_format.MessageToDict(pb, use_integers_for_enums=enums_as_numbers)
    return body


def from_json[M](kind: type[M], body: dict[str, Any]) -> M:
    """Reads a message that `dump` wrote; fields of an older version of us are left out."""
    pb = clients.message_class(kind)()
    json_format.ParseDict(body, pb, ignore_unknown_fields=True)
    message: M = pb if kind is type(pb) else cast(Any, kind).wrap(pb)
    return message


def to_pb(message: Any) -> Message:
    """Returns the protobuf message inside a proto-plus one, or a protobuf message itself."""
    return message if isinstance(message, Message) else type(message).pb(message)


def _merge(content: Any, pb: Message) -> None:
    if not isinstance(content, dict):
        raise errors.invalid("Invalid JSON payload received. The body must be an object.")
    try:
        json_format.ParseDict(_masks(pb.DESCRIPTOR, content), pb)
    except json_format.ParseError as error:
        raise _as_google(error, pb.DESCRIPTOR.name) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise errors.invalid(f"Invalid JSON payload received. {error}") from None


def _as_google(error: json_format.ParseError, request: str) -> errors.GoogleError:
    text = str(error)
    if unknown := _UNKNOWN.search(text):
        where = (unknown["path"] or "").partition(".")[2]
        field = unknown["field"]
        at = f" at '{where}'" if where else ""
        message = f'Invalid JSON payload received. Unknown name "{field}"{at}: Cannot find field.'
        return errors.invalid(message, f"{where}.{field}" if where else field)
    names = []
    while failed := _FAILED.match(text):
        names.append(failed["field"])
        text = failed["why"]
    place = _PLACE.search(text)
    field = place["path"] if place else ".".join(names)
    text = _PLACE.sub("", text).rstrip(".")
    at = f" at '{field}'" if field else ""
    return errors.invalid(f"Invalid value{at} ({request}): {text}", field)


def _masks(descriptor: Descriptor, content: dict[str, Any]) -> dict[str, Any]:
    """Masks come in snake_case too, which protobuf's own parser refuses."""
    masks = {
        name
        for field in descriptor.fields
        if field.message_type and field.message_type.full_name == "google.protobuf.FieldMask"
        for name in (field.name, field.json_name)
    }
    return {
        key: camel(value) if key in masks and isinstance(value, str) else value
        for key, value in content.items()
    }


def camel(mask: str) -> str:
    """Returns a field mask in JSON's lowerCamelCase."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), mask)


def _nested(descriptor: Descriptor, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Makes `a.b=1&c=2&c=3` into an object that the message's JSON parser takes."""
    root: dict[str, Any] = {}
    for key, text in pairs:
        if key in SYSTEM_PARAMETERS:
            continue
        *parents, last = key.split(".")
        target, at = root, descriptor
        for parent in parents:
            field = _field(at, parent, key)
            if field.message_type is None:
                raise _unknown(key)
            target = target.setdefault(field.name, {})
            at = field.message_type
        field = _field(at, last, key)
        if field.message_type and field.message_type.GetOptions().map_entry:
            raise _unknown(key)
        value: Any = text
        if field.type == FieldDescriptor.TYPE_BOOL:
            value = {"true": True, "false": False}.get(text.lower(), text)
        if field.is_repeated:
            target.setdefault(field.name, []).append(value)
        else:
            target[field.name] = value
    return root


def _field(descriptor: Descriptor, name: str, key: str) -> FieldDescriptor:
    found = descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)
    if found is None:
        raise _unknown(key)
    return found


def _unknown(key: str) -> errors.GoogleError:
    return errors.invalid(
        f'Invalid JSON payload received. Unknown name "{key}": Cannot bind query parameter.'
        f" Field '{key}' could not be found in request message.",
        key,
    )


def kind_of(packed: any_pb2.Any) -> type[Message]:
    """Returns the class of the message in a google.protobuf.Any."""
    name = packed.type_url.rpartition("/")[2]
    descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    kind: type[Message] = message_factory.GetMessageClass(descriptor)
    return kind
