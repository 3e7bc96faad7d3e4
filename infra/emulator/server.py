"""HTTP: takes a call apart, finds who answers it, and sends what they say.

Everything about one call that is the same for all products is here: the caller, the project, the
API that must be enabled, permissions, the parsing, the error's body, the journal.
"""

import asyncio
import json
import os
import re
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from infra.emulator import (
    clock,
    errors,
    faults_effects,
    faults_races,
    iam,
    messages,
    projects,
    services,
)
from infra.emulator.api import Api, Call, Reply, Route, Router
from infra.emulator.build.pushes import push
from infra.emulator.cloud import Cloud
from infra.emulator.connections import Connections
from infra.emulator.control import Control, Pace
from infra.emulator.faults import ErrorFault, Fault, Faults, OperationFault, RaceFault
from infra.emulator.faults_network import Network
from infra.emulator.hollow import RUNS
from infra.emulator.iam import Caller
from infra.emulator.journal import Entry, Journal

NAME = "cookiecutter-cloudrun emulator"

# Operations that are waited for, and uploads, each hold a thread.
_THREADS = 100
_READS = re.compile(
    r"(^|[.:])(get|list|batchGet|search|test|read|fetch|query|access|download|wait"
    # Credentials are made, and nothing of the cloud is changed.
    r"|generate|sign)",
    re.IGNORECASE,
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

    def __init__(self, cloud: Cloud, router: Router, pace: Pace | None = None) -> None:
        self.cloud = cloud
        self.router = router
        self.journal = Journal()
        self.faults = Faults()
        self.connections = Connections()
        self.pace = pace or Pace(0, {})
        self._control = Control(
            cloud.world, self.journal, self.faults, self.pace, partial(push, cloud)
        )
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
        api = self.router.api(incoming.path)
        response: Response | None
        if api is None:
            response = await to_thread.run_sync(self._own, incoming)
        else:
            network = Network(self.faults, self.connections, scope.get("client"), receive)
            response = await self._serve(api, incoming, network)
        if response is not None:
            response.headers["date"] = formatdate(self.cloud.world.clock.time(), usegmt=True)
            await response(scope, receive, send)

    async def _serve(self, api: Api, incoming: Incoming, network: Network) -> Response | None:
        """Returns the response to a call, None when nobody waits for it any more."""
        # Half of it is the way here, half of it the way back. What is done on arrival is part of
        # it, so that many calls at once take as long as one.
        half = self.pace.milliseconds / 2000
        arrival = time.perf_counter() + half
        await _sleep_until(arrival)
        struck = self._strike(api, incoming) if self.faults else []
        if not await network.passes(struck, after=False):
            caller = _claimed(incoming.headers)
            self._note(api, incoming, self._method(api, incoming), 0, 0, caller, struck)
            return None
        response = await to_thread.run_sync(
            self.answer, api, incoming, struck, limiter=self._limiter
        )
        await _sleep_until(arrival + half)
        return response if await network.passes(struck, after=True) else None

    def answer(self, api: Api, incoming: Incoming, struck: Sequence[Fault] = ()) -> Response:
        """Returns the response to a call to which some faults happen; never raises."""
        begun = time.perf_counter()
        method, caller = "", Caller()
        try:
            caller = self._caller(incoming.headers)
            path = self._by_project_id(incoming.path.removeprefix(api.prefix))
            route, params = self.router.route(api, incoming.verb, path)
            method = route.method
            _fail(struck, after=False)
            struck = self._race(api, method, params, struck)
            effects = faults_effects.of(method, struck, self.pace.durations)
            try:
                with faults_effects.applied(self.cloud.world, effects):
                    answer = self._call(api, route, params, incoming, caller)
            finally:
                if not effects.begun:
                    struck = self._spare(struck, OperationFault)
            response = self._respond(incoming, answer)
            _fail(struck, after=True)
        except errors.GoogleError as error:
            response = _json(error.to_json(old=api.old_errors), error.status_code)
            if error.status == "UNIMPLEMENTED":
                method = method or error.message
        except Exception as error:
            traceback.print_exc()
            failure = errors.error("INTERNAL", f"The emulator failed: {error!r}")
            response = _json(failure.to_json(old=api.old_errors), 500)
        took = time.perf_counter() - begun
        self._note(api, incoming, method, response.status_code, took, caller, struck)
        return response

    def _strike(self, api: Api, incoming: Incoming) -> list[Fault]:
        """The faults that happen to a call; none to one of a method that is not implemented."""
        method = self._method(api, incoming)
        write = writes(incoming.verb, method)
        return self.faults.strike(method, incoming.path, write=write) if method else []

    def _race(
        self, api: Api, method: str, params: Mapping[str, str], struck: Sequence[Fault]
    ) -> Sequence[Fault]:
        """Lets a foreign writer be faster, if that is to happen. Returns the faults that did."""
        asked = any(isinstance(fault.rule, RaceFault) for fault in struck)
        if asked and not faults_races.intrude(self.cloud.world, api.name, method, params):
            return self._spare(struck, RaceFault)
        return struck

    def _spare(self, struck: Sequence[Fault], kind: type) -> Sequence[Fault]:
        """The faults without those of a kind, which had nothing to do."""
        for fault in struck:
            if isinstance(fault.rule, kind):
                self.faults.spare(fault)
        return [fault for fault in struck if not isinstance(fault.rule, kind)]

    def _method(self, api: Api, incoming: Incoming) -> str:
        path = incoming.path.removeprefix(api.prefix)
        try:
            return self.router.route(api, incoming.verb, path)[0].method
        except errors.GoogleError:
            return ""

    def _note(  # noqa: PLR0913, PLR0917
        self,
        api: Api,
        incoming: Incoming,
        method: str,
        status: int,
        seconds: float,
        caller: Caller,
        struck: Sequence[Fault],
    ) -> None:
        self.journal.add(
            Entry(
                time=clock.text(self.cloud.world.clock.time()),
                product=api.name,
                method=method,
                http=incoming.verb,
                path=incoming.path,
                status=status,
                milliseconds=round(seconds * 1000, 2),
                caller=caller.member,
                write=writes(incoming.verb, method or incoming.path),
                fault=",".join(fault.id for fault in struck),
            )
        )

    def _own(self, incoming: Incoming) -> Response:
        """What the emulator says of itself."""
        try:
            if incoming.path.startswith("/emulator/"):
                query = dict(incoming.query)
                return _json(
                    self._control.answer(incoming.verb, incoming.path, query, incoming.body)
                )
            if (incoming.verb, incoming.path) == ("GET", "/"):
                return _json(
                    {
                        "name": NAME,
                        "pid": os.getpid(),
                        "state": str(self.cloud.folder),
                        "hollow": self.cloud.hollow,
                        "apis": {api.prefix: api.service for api in self.router.apis.values()},
                    }
                )
            apis = ", ".join(self.router.apis)
            raise errors.not_found(f"Nothing is at {incoming.path}. The APIs are at {apis}.")
        except errors.GoogleError as error:
            return _json(error.to_json(), error.status_code)

    def _caller(self, headers: Mapping[str, str]) -> Caller:
        caller = _claimed(headers)
        email = caller.email
        account = self.cloud.world.seen("service_accounts", email)
        if email.endswith(".iam.gserviceaccount.com") and (
            account is None or account.get("disabled")
        ):
            raise errors.error(
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token,"
                " login cookie or other valid authentication credential.",
                "ACCESS_TOKEN_INVALID",
            )
        return caller

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
        if self.cloud.hollow and route.method.endswith(RUNS):
            raise errors.unimplemented(f"{route.method} in a hollow cloud, where nothing runs")
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


async def _sleep_until(moment: float) -> None:
    """Sleeps, without a thread, until `time.perf_counter` says so."""
    if (left := moment - time.perf_counter()) > 0:
        await asyncio.sleep(left)


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


def _claimed(headers: Mapping[str, str]) -> Caller:
    """Who the caller says it is."""
    token = headers.get("authorization", "")
    return iam.account(token.removeprefix(_TOKEN)) if token.startswith(_TOKEN) else Caller()


def _fail(struck: Sequence[Fault], *, after: bool) -> None:
    """Raises the error that a fault answers before or after a call is carried out."""
    for fault in struck:
        if isinstance(fault.rule, ErrorFault) and fault.rule.after is after:
            raise fault.rule.error()


def writes(verb: str, method: str) -> bool:
    """Returns whether a method is meant to change anything; its path does where it has no name."""
    if verb in ("GET", "HEAD"):
        return False
    return verb != "POST" or not _READS.match(method.rpartition(".")[2].rpartition(":")[2])


def _json(content: Mapping[str, Any], status: int = 200) -> Response:
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    return Response(body, status, media_type="application/json; charset=UTF-8")
