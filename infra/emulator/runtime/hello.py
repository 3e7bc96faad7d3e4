"""Google's sample containers, as far as anybody needs them: a page that says hello, and a job.

Run as a file. They stand in a service or a job until the first deploy.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html>
<title>{service}</title>
<h1>It's running!</h1>
<p>{revision} is a placeholder: deploy to replace it.</p>
"""


class Hello(BaseHTTPRequestHandler):
    """Answers every request with the page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The page, or for HEAD its headers."""
        service = os.environ.get("K_SERVICE", "hello")
        revision = os.environ.get("K_REVISION", "hello")
        body = PAGE.format(service=service, revision=revision).encode()
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.wfile.write(head.encode() + (b"" if self.command == "HEAD" else body))

    do_HEAD = do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """The gateway logs requests."""


if __name__ == "__main__":
    if sys.argv[1:] == ["job"]:
        print(f"Completed Task #{os.environ.get('CLOUD_RUN_TASK_INDEX', '0')}.")
    else:
        ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Hello).serve_forever()
