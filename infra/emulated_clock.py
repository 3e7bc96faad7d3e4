"""The time of an emulated cloud, for whoever waits for it: a wait moves its clock on at once.

Only for a cloud whose clock stands still (`PUT /emulator/clock {"virtual": true}`). Pass `now` and
`sleep` for the `clock` and `sleep` of a retry. Nothing of the emulator is imported.
"""

import json
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

_PATIENCE = 60


class EmulatedClock:
    """The clock of the emulator at `host`, `127.0.0.1:PORT`. Safe from any thread."""

    def __init__(self, host: str) -> None:
        self._host = host

    def now(self) -> float:
        """Returns the emulator's time in seconds since 1970."""
        return float(self._call("GET")["now"])

    def sleep(self, seconds: float) -> None:
        """Moves the emulator's clock on, from now.

        Returns when what was due has happened; real work under way, such as a database that
        starts, gets at most as much real time.
        """
        self.advance_to(self.now() + seconds)

    def advance_to(self, moment: float | str) -> None:
        """Moves the clock to seconds since 1970, or to an ISO 8601 time, unless it is later."""
        self._call("POST", {"advance_to": moment})

    def freeze(self) -> None:
        """Makes the clock stand still."""
        self._call("PUT", {"virtual": True})

    def run(self) -> None:
        """Lets the clock go on by itself, from the time that it shows."""
        self._call("PUT", {"virtual": False})

    def _call(self, verb: str, body: dict[str, object] | None = None) -> dict[str, Any]:
        # A connection of its own for each call: whoever waits may do so for long.
        with closing(HTTPConnection(self._host, timeout=_PATIENCE)) as connection:
            content = None if body is None else json.dumps(body).encode()
            connection.request(verb, "/emulator/clock", content)
            answer = connection.getresponse()
            said: dict[str, Any] = json.loads(answer.read())
        if answer.status != 200:
            raise ValueError(said["error"]["message"])
        return said
