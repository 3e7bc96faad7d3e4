"""How a product answers calls: it registers handlers, by method of a client library or by route.

    api = Api("secretmanager", prefix="/secretmanager", service="secretmanager.googleapis.com")

    @api.method("google.cloud.secretmanager_v1", "SecretManagerService", "GetSecret",
                permission="secretmanager.secrets.get")
    def get_secret(call: Call[GetSecretRequest]) -> Secret: ...

A handler runs in a thread of its own, returns a message or a JSON object, and raises GoogleError.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.emulator import clients, errors, iam, templates
from infra.emulator.iam import Caller
from infra.emulator.world import Document, World

if TYPE_CHECKING:
    from infra.emulator.cloud import Cloud, Part

type Handler = Callable[[Call[Any]], object]


@dataclass(frozen=True)
class Call[R = Document]:
    """One call of one method."""

    request: R
    method: str
    params: dict[str, str]
    query: dict[str, str]
    pairs: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    caller: Caller
    cloud: "Cloud"

    @property
    def world(self) -> World:
        """The emulator's memory."""
        return self.cloud.world

    def all(self, name: str) -> list[str]:
        """Returns every value of a query parameter; `query` has the last one."""
        return [value for key, value in self.pairs if key == name]

    def require(self, permission: str, resource: str) -> None:
        """Raises 403 unless the caller has a permission on a resource, or on what it is in."""
        iam.require(self.world, self.caller, permission, resource)


@dataclass(frozen=True)
class Reply:
    """An answer that is not JSON; a path stands for the file's content."""

    body: bytes | Path = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """A way to call a method. Without a handler, the method is one we only know of."""

    verb: str
    template: templates.Template
    method: str
    handler: Handler | None = None
    request: Any = None
    body: str | None = None
    permission: str | None = None


class Api:
    """One of Google's APIs: its place on the server, its name, its routes."""

    def __init__(
        self,
        name: str,
        prefix: str,
        service: str = "",
        *,
        enabled: bool = False,
        old_errors: bool = False,
    ) -> None:
        """`service` is what Service Usage calls it, `run.googleapis.com` for `run` by default.

        `enabled`: it answers in every project from the first. `old_errors`: Storage's error bodies.
        Several files may each have an Api with the same prefix: together they are one.
        """
        self.name = name
        self.prefix = prefix
        self.service = service or f"{name}.googleapis.com"
        self.enabled = enabled
        self.old_errors = old_errors
        self.routes: list[Route] = []
        self.parts: list[type[Part]] = []
        self.services: set[tuple[str, str]] = set()

    def method[F: Callable[..., object]](
        self, package: str, service: str, name: str, *, permission: str | None = None
    ) -> Callable[[F], F]:
        """Answers a method of a client library, on all its routes, with its own request type.

        `permission` is asked of the caller on the resource that the path names (its parent, where
        something is created); None leaves that to the handler.
        """
        self.services.add((package, service))
        method = clients.methods(package, service)[name]

        def register(handler: F) -> F:
            for binding in method.bindings:
                self.routes.append(
                    Route(
                        binding.verb,
                        templates.parse(binding.uri),
                        method.full_name,
                        handler,
                        method.request,
                        binding.body,
                        permission,
                    )
                )
            return handler

        return register

    def route[F: Callable[..., object]](
        self,
        verb: str,
        *uris: str,
        name: str = "",
        request: Any = None,
        body: str | None = None,
        permission: str | None = None,
    ) -> Callable[[F], F]:
        """Answers a route that no client library knows; `name` is the method's, for people.

        With a `request` type the call is parsed into it, else `Call.request` is the JSON body.
        """

        def register(handler: F) -> F:
            for uri in uris:
                method = name or f"{self.name}: {verb} {uri}"
                template = templates.parse(uri)
                self.routes.append(
                    Route(verb, template, method, handler, request, body, permission)
                )
            return handler

        return register

    def client(self, package: str, *services: str) -> None:
        """Makes known all methods of services: those without a handler answer 501 by name."""
        self.services.update((package, service) for service in services)

    def known(self, verb: str, uri: str, name: str) -> None:
        """Makes one method known that is not implemented."""
        self.routes.append(Route(verb, templates.parse(uri), name))

    def part[P: type[Part]](self, kind: P) -> P:
        """Has a part of the cloud (see cloud.py) started and stopped with the emulator."""
        self.parts.append(kind)
        return kind


class Router:
    """Finds the route of a call among all products' APIs."""

    def __init__(self, apis: Iterable[Api]) -> None:
        self.apis: dict[str, Api] = {}
        self._routes: dict[str, list[Route]] = {}
        for api in apis:
            whole = self.apis.setdefault(
                api.prefix,
                Api(
                    api.name,
                    api.prefix,
                    api.service,
                    enabled=api.enabled,
                    old_errors=api.old_errors,
                ),
            )
            whole.routes += api.routes
            whole.parts += api.parts
            whole.services |= api.services
        for prefix, api in self.apis.items():
            api.routes += _unimplemented(api)
            self._routes[prefix] = sorted(
                api.routes, key=lambda route: (route.template.order, route.handler is None)
            )

    def api(self, path: str) -> Api | None:
        """Returns the API that a path belongs to."""
        return self.apis.get("/" + path.split("/", 2)[1])

    def route(self, api: Api, verb: str, path: str) -> tuple[Route, dict[str, str]]:
        """Returns the route of a call, and its path's variables; 404 or 501 if there is none."""
        for route in self._routes[api.prefix]:
            if route.verb == verb and (params := route.template.match(path)) is not None:
                if route.handler is None:
                    raise errors.unimplemented(route.method)
                return route, params
        raise errors.not_found(f"Method not found: {api.service} has no {verb} {path}.")

    def coverage(self) -> list[tuple[str, str, bool]]:
        """Returns (product, method, implemented) of every method that is known."""
        found: dict[tuple[str, str], bool] = {}
        for api in self.apis.values():
            for route in api.routes:
                key = (api.name, route.method)
                found[key] = found.get(key, False) or route.handler is not None
        return sorted((product, method, done) for (product, method), done in found.items())


def _unimplemented(api: Api) -> list[Route]:
    """The methods of the API's client libraries that have no handler, nor a route that does."""
    done = {(route.verb, route.template.text) for route in api.routes}
    return [
        Route(binding.verb, templates.parse(binding.uri), method.full_name)
        for package, service in sorted(api.services)
        for method in clients.methods(package, service).values()
        for binding in method.bindings
        if (binding.verb, binding.uri) not in done
    ]


def coverage() -> list[tuple[str, str, bool]]:
    """Returns (product, method, implemented) of every method of every product."""
    from infra.emulator import products  # noqa: PLC0415

    return Router(products.apis()).coverage()
