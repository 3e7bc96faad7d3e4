"""Sends what Ansible's google.cloud modules ask of Google to the emulator instead."""

import os
import re

GOOGLE = re.compile(r"https://(?:www\.|([a-z]+)\.)googleapis\.com/")


def redirect() -> None:
    """Rewrites the address of every request to an API of Google's."""
    try:
        import requests  # noqa: PLC0415
    except ImportError:
        return
    send = requests.Session.request
    host = os.environ["BENCH_EMULATOR"]

    def request(self, method, url, *rest, **more):
        found = GOOGLE.match(url)
        if found:
            url = f"http://{host}/{found[1] or 'storage'}/{url[found.end() :]}"
        return send(self, method, url, *rest, **more)

    requests.Session.request = request


if os.environ.get("BENCH_EMULATOR"):
    redirect()
