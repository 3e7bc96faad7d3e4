"""A small registry on this machine: of the OCI distribution protocol what a digest needs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

INDEX = "application/vnd.oci.image.index.v1+json"
TOKEN = "a-token-for-anybody"


@dataclass
class Registry:
    """What it has, by repository and tag; what it wants; what it was asked."""

    host: str = ""
    content: dict[tuple[str, str], bytes] = field(default_factory=dict)
    wants_token: bool = True
    gives_token: bool = True
    tells_digest: bool = True
    asked: list[str] = field(default_factory=list)

    def put(self, repository: str, tag: str, text: str) -> str:
        """Puts an index under a tag. Returns its digest."""
        body = json.dumps({"mediaType": INDEX, "annotations": {"is": text}}).encode()
        self.content[repository, tag] = body
        return f"sha256:{sha256(body).hexdigest()}"


@contextmanager
def running() -> Iterator[Registry]:
    """An empty registry, up and then gone."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            registry.asked.append(f"{self.command} {self.path}")
            url = urlsplit(self.path)
            if url.path == "/token":
                self.token(parse_qs(url.query))
            elif registry.wants_token and self.headers["authorization"] != f"Bearer {TOKEN}":
                repository = url.path.removeprefix("/v2/").partition("/manifests/")[0]
                challenge = (
                    f'Bearer realm="http://{registry.host}/token",service="registry.test",'
                    f'scope="repository:{repository}:pull"'
                )
                self.answer(401, b"", {"www-authenticate": challenge})
            else:
                self.manifest(url.path)

        def token(self, query: dict[str, list[str]]) -> None:
            right = query.get("service") == ["registry.test"] and "scope" in query
            status = 200 if registry.gives_token and right else 403
            self.answer(status, json.dumps({"token": TOKEN}).encode(), {})

        def manifest(self, path: str) -> None:
            repository, _, tag = path.removeprefix("/v2/").partition("/manifests/")
            body = registry.content.get((repository, tag))
            if body is None or INDEX not in self.headers["accept"]:
                self.answer(404, b"{}", {})
                return
            digest = {"docker-content-digest": f"sha256:{sha256(body).hexdigest()}"}
            self.answer(200, body, digest if registry.tells_digest else {})

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.host = f"127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
