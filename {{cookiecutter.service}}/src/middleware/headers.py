"""Headers that keep a browser from doing more with an answer than showing it
(OWASP, "REST Security Cheat Sheet"). An endpoint's own header stands."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
API = (
    *ALWAYS,
    # An answer may be of this caller alone, so no cache keeps it.
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
# Swagger and Redoc begin with a script in the page, and draw pictures.
DOCS = (
    *ALWAYS,
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline'; "
        b"style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        b"worker-src blob:; frame-ancestors 'none'",
    ),
)
DOCS_PAGES = {"/docs", "/docs/oauth2-redirect", "/redoc"}
DOCS_FILES = "/static-offline-docs/"
# Two years, for https only: RFC 6797 has it ignored and forbidden elsewhere.
HTTPS = (b"strict-transport-security", b"max-age=63072000")


class HeadersMiddleware:
    """Adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message["headers"])
                given = {name for name, _ in headers}
                path: str = scope["path"]
                docs = path in DOCS_PAGES or path.startswith(DOCS_FILES)
                ours = DOCS if docs else API
                if scope["scheme"] == "https":
                    ours = (*ours, HTTPS)
                headers += (one for one in ours if one[0] not in given)
            await send(message)

        await self.app(scope, receive, send_with_headers)
