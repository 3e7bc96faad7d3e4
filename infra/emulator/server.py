"""HTTP: takes a call apart, finds who answers it, and sends what they say.

Everything about one call that is the same for all products is here: the caller, the project, the
API that must be enabled, permissions, the parsing, the error's body, the journal.
"""

import json
import os
import re
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from infra.emulator import errors, iam, messages, projects, services
from infra.emulator.api import Api, Call, Reply, Route, Router
from infra.emulator.cloud import Cloud
from infra.emulator.iam import Caller
from infra.emulator.journal import Entry, Journal

NAME = "cookiecutter-cloudrun emulator"

# Operations that are waited for, and uploads, each hold a thread.
_THREADS = 100
_READS = re.compile(
    r"(^|[.:])(get|list|batchGet|search|test|read|fetch|query|access|download|wait)", re.IGNORECASE
)
_PROJECT = re.compile(r"(?<=/projects/)(\d+|[^/:]+)")
_STORAGE = re.compile(r"/(upload|resumable/upload|download|batch)/storage/v1/|/storage/v1/")
_TOKEN = "Bearer emulated:"  # noqa: S105


@dataclass(frozen=True)
class Incoming:
    """A request whose body has been read. `path` is still percent-encoded."""

    verb: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes


class Emulator:
    """The ASGI application."""

    def __init__(self, cloud: Cloud, router: Router) -> None:
        self.cloud = cloud
        self.router = router
        self.journal = Journal()
        self._limiter: CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        self._limiter = self._limiter or CapacityLimiter(_THREADS)
        request = Request(scope, receive)
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        incoming = Incoming(
            request.method,
            _rooted(path.partition("?")[0]),
            request.query_params.multi_items(),
            {key.lower(): value for key, value in request.headers.items()},
            await request.body(),
        )
        response = await to_thread.run_sync(self.answer, incoming, limiter=self._limiter)
        await response(scope, receive, send)

    def answer(self, incoming: Incoming) -> Response:
        """Returns the response to a request; never raises."""
        api = self.router.api(incoming.path)
        if api is None:
            return self._own(incoming)
        begun = time.perf_counter()
        method, caller = "", Caller()
        try:
            caller = self._caller(incoming.headers)
            path = self._by_project_id(incoming.path.removeprefix(api.prefix))
            route, params = self.router.route(api, incoming.verb, path)
            method = route.method
            response = self._respond(incoming, self._call(api, route, params, incoming, caller))
        except errors.GoogleError as error:
            response = _json(error.to_json(old=api.old_errors), error.status_code)
            if error.status == "UNIMPLEMENTED":
                method = method or error.message
        except Exception as error:
            traceback.print_exc()
            failure = errors.error("INTERNAL", f"The emulator failed: {error!r}")
            response = _json(failure.to_json(old=api.old_errors), 500)
        self.journal.add(
            Entry(
                time=self.cloud.world.timestamp(),
                product=api.name,
                method=method,
                http=incoming.verb,
                path=incoming.path,
                status=response.status_code,
                milliseconds=round((time.perf_counter() - begun) * 1000, 2),
                caller=caller.member,
                write=_writes(incoming.verb, method or incoming.path),
            )
        )
        return response

    def _own(self, incoming: Incoming) -> Response:
        match incoming.verb, incoming.path:
            case "GET", "/":
                return _json(
                    {
                        "name": NAME,
                        "pid": os.getpid(),
                        "state": str(self.cloud.folder),
                        "apis": {api.prefix: api.service for api in self.router.apis.values()},
                    }
                )
            case "GET", "/emulator/journal":
                return _json(self.journal.to_json())
            case "DELETE", "/emulator/journal":
                self.journal.clear()
                return _json({})
        message = f"Nothing is at {incoming.path}. The APIs are at {', '.join(self.router.apis)}."
        return _json(errors.not_found(message).to_json(), 404)

    def _caller(self, headers: Mapping[str, str]) -> Caller:
        token = headers.get("authorization", "")
        if not token.startswith(_TOKEN):
            return Caller()
        email = token.removeprefix(_TOKEN)
        account = self.cloud.world.get("service_accounts", email)
        if email.endswith(".iam.gserviceaccount.com") and (
            account is None or account.get("disabled")
        ):
            raise errors.error(
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token,"
                " login cookie or other valid authentication credential.",
                "ACCESS_TOKEN_INVALID",
            )
        return iam.account(email)

    def _by_project_id(self, path: str) -> str:
        """Puts the id in the place of a project's number, so that handlers only see ids."""
        found = _PROJECT.search(path)
        if found is None or found[0] in ("-", "_"):
            return path
        project = projects.find(self.cloud.world, found[0])
        return path[: found.start()] + project.id + path[found.end() :]

    def _call(
        self, api: Api, route: Route, params: dict[str, str], incoming: Incoming, caller: Caller
    ) -> object:
        world = self.cloud.world
        query = dict(incoming.query)
        if not api.enabled and (project := _project(route, params, query)):
            services.require(world, api.service, projects.find(world, project).id)
        if route.permission:
            iam.require(world, caller, route.permission, next(iter(params.values())))
        request: Any
        if route.request is not None:
            request = messages.parse(
                route.request,
                incoming.body,
                body_field=route.body,
                query=incoming.query,
                path=params,
            )
        elif route.body:
            request = messages.load(incoming.body) if incoming.body.strip() else {}
            if not isinstance(request, dict):
                raise errors.invalid("The body must be a JSON object.")
        else:
            request = {}
        assert route.handler is not None  # noqa: S101
        call = Call(
            request=request,
            method=route.method,
            params=params,
            query=query,
            pairs=incoming.query,
            headers=incoming.headers,
            body=incoming.body,
            caller=caller,
            cloud=self.cloud,
        )
        return route.handler(call)

    def _respond(self, incoming: Incoming, answer: object) -> Response:
        if isinstance(answer, Reply):
            if isinstance(answer.body, bytes):
                return Response(answer.body, answer.status, answer.headers)
            return FileResponse(answer.body, answer.status, answer.headers)
        if answer is None:
            return _json({})
        if isinstance(answer, dict):
            return _json(answer)
        asked = dict(incoming.query).get("$alt", "")
        content = messages.dump(answer, enums_as_numbers="enum-encoding=int" in asked)
        return _json(content)


def _rooted(path: str) -> str:
    """Storage's clients put some paths at the server's root, whatever endpoint they were given."""
    return f"/storage{path}" if _STORAGE.match(path) else path


def _project(route: Route, params: dict[str, str], query: dict[str, str]) -> str:
    """The project that a call is about, as far as its address tells."""
    for value in params.values():
        if project := iam.project_of(value):
            return project
    for name in ("project", "project_id", "projectId"):
        if name in params or name in query:
            return params.get(name) or query[name]
    return ""


def _writes(verb: str, method: str) -> bool:
    if verb in ("GET", "HEAD"):
        return False
    return verb != "POST" or not _READS.match(method.rpartition(".")[2].rpartition(":")[2])


def _json(content: Mapping[str, Any], status: int = 200) -> Response:
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    return Response(body, status, media_type="application/json; charset=UTF-8")
