"""The trace headers Cloud Run gives every request: Google's own and W3C's, saying the same.

Source: Cloud Trace, "X-Cloud-Trace-Context"; W3C Trace Context.
"""

import re
import secrets
from dataclasses import dataclass

GOOGLE, W3C = "x-cloud-trace-context", "traceparent"
GOOGLES = re.compile(r"(?P<trace>[0-9a-fA-F]{32})(?:/(?P<span>\d+))?(?:;o=(?P<sampled>[01]))?")
W3CS = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")


@dataclass(frozen=True)
class Trace:
    """Where a request belongs."""

    trace: str
    span: int
    sampled: bool

    @classmethod
    def of(cls, headers: dict[str, str]) -> "Trace":
        """The caller's, by either header, or a new one."""
        if found := W3CS.fullmatch(headers.get(W3C, "")):
            return cls(found["trace"], int(found["span"], 16), bool(int(found["flags"], 16) & 1))
        if found := GOOGLES.fullmatch(headers.get(GOOGLE, "")):
            span = int(found["span"] or 0) or secrets.randbits(63) + 1
            return cls(found["trace"].lower(), span, found["sampled"] == "1")
        return cls(secrets.token_hex(16), secrets.randbits(63) + 1, False)

    def headers(self) -> dict[str, str]:
        """Both headers."""
        return {
            GOOGLE: f"{self.trace}/{self.span};o={int(self.sampled)}",
            W3C: f"00-{self.trace}-{self.span:016x}-{int(self.sampled):02x}",
        }
