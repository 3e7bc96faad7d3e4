"""An issuer of tokens on this machine: a real server with a discovery
document and keys, which may be away, and which changes its keys."""

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from time import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

PATIENCE_SECONDS = 30
AUDIENCE = "https://orders.example.com"
DISCOVERY = "/.well-known/openid-configuration"

type Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Issuer:
    """Signs tokens, and tells its public keys at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, Key] = {"rsa": usual_rsa(), "ec": new_ec()}
        self.document = {"issuer": url, "jwks_uri": f"{url}/keys"}
        self.more: list[object] = []
        self.is_away = False
        self.asked: Counter[str] = Counter()
        self.changed = Condition()

    def answer(self, path: str) -> object:
        """What is at a path; None where nothing is."""
        with self.changed:
            self.asked[path] += 1
            self.changed.notify_all()
        if self.is_away:
            return None
        keys = [public(id, key) for id, key in self.keys.items()]
        there = {DISCOVERY: self.document, "/keys": {"keys": keys + self.more}}
        return there.get(path)

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Whether what it was asked fulfils the condition, in the end."""
        with self.changed:
            return self.changed.wait_for(condition, PATIENCE_SECONDS)

    def claims(self, **changes: object) -> dict[str, Any]:
        """A good token's claims with changes; None takes one away."""
        now = int(time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "alice",
            "iat": now,
            "exp": now + 3600,
        }
        changed = {**claims, **changes}
        return {key: value for key, value in changed.items() if value}

    def token(self, key: str = "rsa", **changes: object) -> str:
        """A token, good but for the changes to its claims."""
        return self.signed(self.keys[key], {"kid": key}, **changes)

    def signed(
        self, key: Key, headers: dict[str, Any], **changes: object
    ) -> str:
        """A token by any key."""
        kind = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(self.claims(**changes), key, kind, headers)

    def unsigned(self) -> str:
        """A token with the algorithm "none"."""
        headers = {"kid": "rsa"}
        return jwt.encode(self.claims(), "", "none", headers)

    def signed_with_public_key(self) -> str:
        """A token whose HMAC's secret is what everybody may know."""
        secret = self.keys["rsa"].public_key()
        pem = secret.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        head = encoded({"alg": "HS256", "kid": "rsa", "typ": "JWT"})
        text = f"{head}.{encoded(self.claims())}"
        mac = hmac.digest(pem, text.encode(), hashlib.sha256)
        return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@cache
def usual_rsa() -> rsa.RSAPrivateKey:
    """The key of every issuer, for it takes time to make one."""
    return new_rsa()


@cache
def other_rsa() -> rsa.RSAPrivateKey:
    """A key of somebody else."""
    return new_rsa()


def new_rsa() -> rsa.RSAPrivateKey:
    """A key for RS256."""
    return rsa.generate_private_key(65537, 2048)


def new_ec() -> ec.EllipticCurvePrivateKey:
    """A key for ES256."""
    return ec.generate_private_key(ec.SECP256R1())


def public(id: str, key: Key) -> dict[str, Any]:
    """The public half, as a JWK set has it."""
    if isinstance(key, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": id, "use": "sig"}


def encoded(part: object) -> str:
    """A part of a token."""
    text = base64.urlsafe_b64encode(json.dumps(part).encode())
    return text.rstrip(b"=").decode()


@contextmanager
def serving() -> Iterator[Issuer]:
    """An issuer that answers."""

    class Handler(BaseHTTPRequestHandler):
        """Tells what the issuer has."""

        def do_GET(self) -> None:
            found = issuer.answer(self.path)
            body = json.dumps(found).encode()
            self.send_response(503 if found is None else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
