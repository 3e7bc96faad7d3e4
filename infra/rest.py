"""Reads of Google's JSON APIs over plain HTTP: one pool of connections, for many threads.

Google's own clients are for the writes: importing them takes longer than reading all there is.
Importing this module imports nothing but the standard library. Nothing is retried here.
"""

# ruff: noqa: PLC0415

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode
from urllib.request import getproxies, proxy_bypass

from infra.yaml_file import Value

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from urllib3 import PoolManager
    from urllib3.response import BaseHTTPResponse

type Json = dict[str, Value]

CONNECT_SECONDS = 10
READ_SECONDS = 60
CONNECTIONS = 64
UNAUTHENTICATED = 401
PAGE_TOKEN = "pageToken"  # noqa: S105
NEXT_PAGE_TOKEN = "nextPageToken"  # noqa: S105
ERROR_INFO = "google.rpc.ErrorInfo"


class ConnectionLost(Exception):
    """There was no answer: the connection could not be made, or broke, or took too long."""


class RestError(Exception):
    """An answer that is an error.

    `code` is HTTP's, `status` google.rpc.Code's name, `reason` that of google.rpc.ErrorInfo or, of
    the older APIs (Storage, Cloud SQL), of the first of `errors`.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: str = "",
        reason: str = "",
        errors: tuple[Value, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.reason = reason
        self.errors = errors
        self.headers: Mapping[str, str] = {}


@dataclass(frozen=True)
class Request:
    """What is read. Two that are equal have the same answer.

    `api` is the API's name, as in Cloud.url; `items` the field a list's items are in, "" for what
    is no list; with a `body`, JSON, it is sent as a POST.
    """

    api: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    items: str = ""
    body: str = ""

    def page(self, token: str) -> "Request":
        """The same, from a page on."""
        return replace(self, query=(*self.query, (PAGE_TOKEN, token)))


class Login(Protocol):
    """Who the caller is."""

    def headers(self, *, refused: bool = False) -> dict[str, str]:
        """The headers that say so; `refused`: those given last were not taken."""


class Bearer:
    """A caller with a token that is good for ever: the emulator's."""

    def __init__(self, token: str) -> None:
        self.token = token

    def headers(self, *, refused: bool = False) -> dict[str, str]:
        """The token's header."""
        return {"authorization": f"Bearer {self.token}"}


class CredentialsLogin:
    """A caller with Google's credentials, whose token is renewed when it expires."""

    def __init__(self, credentials: "Credentials", pool: "PoolManager") -> None:
        self.credentials = credentials
        self.pool = pool
        self.lock = Lock()

    def headers(self, *, refused: bool = False) -> dict[str, str]:
        """The token's header, and the project that pays. Raises GoogleAuthError."""
        from google.auth.transport.urllib3 import Request as Renewal

        headers: dict[str, str] = {}
        with self.lock:
            if refused or not self.credentials.valid:
                self.credentials.refresh(Renewal(self.pool))  # type: ignore[no-untyped-call]
            self.credentials.apply(headers)  # type: ignore[no-untyped-call]
        return headers


class Rest:
    """Reads JSON. Threads may share it."""

    def __init__(
        self,
        url: Callable[[str], str],
        login: Callable[["PoolManager"], Login],
        *,
        direct: bool = False,
    ) -> None:
        """`url` says where an API is; `direct`: no proxy is asked."""
        self.url = url
        self.direct = direct
        self._login = login
        self._lock = Lock()

    @cached_property
    def pool(self) -> "PoolManager":
        """The connections."""
        return make_pool(direct=self.direct)

    @cached_property
    def login(self) -> Login:
        """Who we are."""
        return self._login(self.pool)

    def connect(self) -> None:
        """Makes ready what threads share. Raises what the login raises."""
        with self._lock:
            _ = self.login

    def fetch(self, request: Request) -> Value:
        """The answer, and of a list all items, from all its pages.

        Raises RestError, ConnectionLost, and GoogleAuthError.
        """
        answer = self.send(request)
        if not request.items:
            return answer
        items: list[Value] = []
        while True:
            some = answer.get(request.items)
            items += some if isinstance(some, list) else []
            token = answer.get(NEXT_PAGE_TOKEN)
            if not token:
                return items
            answer = self.send(request.page(str(token)))

    def send(self, request: Request) -> Json:
        """One answer."""
        self.connect()
        response = self._send(request, self.login.headers())
        if response.status == UNAUTHENTICATED:
            response = self._send(request, self.login.headers(refused=True))
        if response.status >= 300:
            error = error_of(response.status, response.data)
            error.headers = dict(response.headers)
            raise error
        try:
            answer: Value = json.loads(response.data or b"{}")
        except ValueError:
            raise ConnectionLost(f"what {request.api} answered is no JSON") from None
        return answer if isinstance(answer, dict) else {}

    def _send(self, request: Request, headers: Mapping[str, str]) -> "BaseHTTPResponse":
        from urllib3.exceptions import HTTPError

        url = f"{self.url(request.api).rstrip('/')}/{request.path}"
        if request.query:
            url = f"{url}?{urlencode(request.query)}"
        sent = {**headers, "content-type": "application/json"} if request.body else headers
        try:
            return self.pool.request(
                "POST" if request.body else "GET",
                url,
                body=request.body or None,
                headers=sent,
                redirect=False,
                retries=False,
            )
        except HTTPError as error:
            raise ConnectionLost(f"{request.api} does not answer: {error}") from error


def make_pool(*, direct: bool) -> "PoolManager":
    """Connections that are kept, through the proxy that the environment names, if any."""
    from urllib3 import PoolManager, ProxyManager, Timeout

    timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    if direct:
        return PoolManager(maxsize=CONNECTIONS, timeout=timeout)
    import certifi

    bundles = (os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    trusted = next(filter(None, bundles), certifi.where())
    proxy = getproxies().get("https")
    if proxy and not proxy_bypass("run.googleapis.com"):
        return ProxyManager(proxy, maxsize=CONNECTIONS, timeout=timeout, ca_certs=trusted)
    return PoolManager(num_pools=32, maxsize=CONNECTIONS, timeout=timeout, ca_certs=trusted)


def error_of(code: int, body: bytes) -> RestError:
    """The error in an answer: google.rpc.Status over HTTP, or the older APIs' form, or neither."""
    try:
        answer: Value = json.loads(body)
    except ValueError:
        answer = None
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        text = error if isinstance(error, str) else body.decode("utf-8", "replace").strip()
        return RestError(code, text[:500] or f"HTTP {code}")
    details, errors = error.get("details"), error.get("errors")
    listed = tuple(
        each
        for group in (details, errors)
        if isinstance(group, list)
        for each in group
        if isinstance(each, dict)
    )
    return RestError(
        code,
        str(error.get("message") or f"HTTP {code}"),
        status=str(error.get("status") or ""),
        reason=reason_of(listed),
        errors=listed,
    )


def reason_of(errors: tuple[Json, ...]) -> str:
    """The reason an error gives, "" when it gives none."""
    informed = [each for each in errors if str(each.get("@type", "")).endswith(ERROR_INFO)]
    reasons = [each.get("reason") for each in (*informed, *errors)]
    return next((str(reason) for reason in reasons if reason), "")
