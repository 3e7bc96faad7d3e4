"""What the installed client libraries know of Google's APIs: each method's routes and types.

The generated packages carry no service descriptors, but their transports hold the same: the routes
in `rest_base`, the request and response types in the annotations of `base`.
"""

import importlib
import re
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.message import Message  # type: ignore[import-untyped]

# Methods that every service has answer with, or take, messages that are not of its own package.
_SHARED = ("google.iam.v1", "google.longrunning", "google.cloud.location", "google.protobuf")


@dataclass(frozen=True)
class Binding:
    """One way to call a method over HTTP."""

    verb: str
    uri: str
    body: str | None


@dataclass(frozen=True)
class Method:
    """A method of a client library. `request` is a proto-plus or a protobuf class."""

    package: str
    service: str
    name: str
    bindings: tuple[Binding, ...]
    request: Any

    proto: str

    @property
    def full_name(self) -> str:
        """As Google writes it: `google.cloud.run.v2.Services.CreateService`."""
        return f"{self.proto}.{self.service}.{self.name}"


def message_class(message: Any) -> type[Message]:
    """Returns the protobuf class of a proto-plus class, or the protobuf class itself."""
    kind: type[Message] = message if hasattr(message, "DESCRIPTOR") else message.pb()
    return kind


@cache
def methods(package: str, service: str) -> dict[str, Method]:
    """Returns every method of a service that has a REST route, by name."""
    folder = f"{package}.services.{_snake(service)}.transports"
    base = getattr(importlib.import_module(f"{folder}.base"), f"{service}Transport")
    rest = getattr(importlib.import_module(f"{folder}.rest_base"), f"_Base{service}RestTransport")
    types = {name.replace("_", "").lower(): name for name in vars(base)}
    requests: dict[str, Any] = {}
    routes = {}
    for name, stub in vars(rest).items():
        method = name.removeprefix("_Base")
        if name != method:
            attribute = types.get(method.lower())
            requests[method] = _request_type(getattr(base, attribute)) if attribute else None
            routes[method] = tuple(_bindings(stub._get_http_options()))
    packages = [message_class(request).DESCRIPTOR.file.package for request in requests.values()]
    proto = next(name for name in packages if not name.startswith(_SHARED))
    return {
        name: Method(package, service, name, bindings, requests[name], proto)
        for name, bindings in routes.items()
    }


def _bindings(options: Iterable[dict[str, str]]) -> Iterable[Binding]:
    for option in options:
        yield Binding(option["method"].upper(), option["uri"], option.get("body"))


def _request_type(stub: property) -> Any:
    hint = typing.get_type_hints(stub.fget)["return"]
    return typing.get_args(hint)[0][0]


def _snake(name: str) -> str:
    """Turns a service's name into its module's: `SqlInstancesService`, `IAMCredentials`."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
