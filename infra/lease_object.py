"""The lease as an object of Cloud Storage: read, made, renewed and removed over its JSON API.

Each write is under the preconditions that make it safe, and is sent once: whoever calls decides
what a failure means. Its fields are the object's metadata, so that one read tells all of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from infra.causes import classify, is_absent, message_of
from infra.cloud import Cloud
from infra.retry import CloudError

if TYPE_CHECKING:
    from requests import Response

FOLDER = "cookiecutter-cloudrun"
BOUNDARY = "cookiecutter-cloudrun-lease"
SECONDS = 30
"""How long an answer is waited for."""
SLACK = timedelta(seconds=1)
"""What `Date` cuts off."""

type Json = Mapping[str, object]


@dataclass(frozen=True)
class Holder:
    """Who holds a lease; what is below `ttl` is as Google told it when it was read."""

    who: str
    command: str
    id: str
    ttl: float
    """Seconds after its last renewal at which it is over."""
    since: str = ""
    held: float = 0
    """Seconds since it was taken."""
    age: float = 0
    """Seconds since it was renewed."""
    generation: str = "0"
    metageneration: str = "0"
    renewals: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it has not been renewed in time, by Google's clock."""
        return self.age > self.ttl


class LeaseObject:
    """The object of the lease of a service in an environment."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.bucket = cloud.names.bucket
        self.name = f"{FOLDER}/lease-{cloud.environment.name}.json"

    @property
    def url(self) -> str:
        """Where the object is."""
        return f"{self.cloud.url('storage')}/storage/v1/b/{self.bucket}/o/{quote(self.name, '')}"

    def find(self) -> Holder | None:
        """The lease as it is, None for none. Raises what Google's clients raise."""
        try:
            return holder(self.send("GET", self.url))
        except Exception as error:
            if is_absent(error):
                return None
            raise

    def put(self, wanted: Holder, over: Holder | None) -> Holder:
        """Makes it ours, if there is none, or if the one that is over is still as it was read.

        Raises what Google's clients raise.
        """
        conditions = {"ifGenerationMatch": over.generation if over else "0"}
        if over:
            # It may have been renewed at the last moment.
            conditions["ifMetagenerationMatch"] = over.metageneration
        url = f"{self.cloud.url('storage')}/upload/storage/v1/b/{self.bucket}/o"
        body = {"name": self.name, "metadata": fields(wanted)}
        answer = self.send(
            "POST",
            url,
            params={"uploadType": "multipart", **conditions},
            data=multipart(body, json.dumps(fields(wanted), indent=2)),
            headers={"Content-Type": f"multipart/related; boundary={BOUNDARY}"},
        )
        return holder(answer)

    def renew(self, mine: Holder) -> Holder:
        """Renews it. Raises CloudError: CONFLICT or ABSENT when it is not ours any more."""
        renewed = replace(mine, renewals=mine.renewals + 1)
        return holder(
            self.send_once(
                "renew the lease",
                "PATCH",
                json={"metadata": fields(renewed)},
                params={"ifGenerationMatch": mine.generation},
            )
        )

    def remove(self, mine: Holder) -> None:
        """Removes it, if it is still that one. Raises CloudError."""
        self.send_once("remove the lease", "DELETE", params={"ifGenerationMatch": mine.generation})

    def send_once(self, doing: str, method: str, **request: object) -> "Response":
        """The answer to a request about the object. Raises CloudError."""
        try:
            return self.send(method, self.url, **request)
        except Exception as error:
            cause = classify(error)
            if cause is None:
                raise
            raise CloudError(doing, message_of(error), cause=cause) from error

    def send(self, method: str, url: str, **request: object) -> "Response":
        """The answer to a request. Raises GoogleAPICallError, and what requests raises."""
        from google.api_core.exceptions import from_http_response  # noqa: PLC0415

        answer = self.cloud.session.request(  # type: ignore[no-untyped-call]
            method, url, timeout=SECONDS, **request
        )
        if not answer.ok:
            raise from_http_response(answer)  # type: ignore[no-untyped-call]
        return cast("Response", answer)


def fields(holder: Holder) -> dict[str, str]:
    """What the object says of its holder."""
    return {
        "who": holder.who,
        "command": holder.command,
        "id": holder.id,
        "ttl": f"{holder.ttl:g}",
        "renewals": str(holder.renewals),
    }


def holder(answer: "Response") -> Holder:
    """The holder of the lease that an answer tells of."""
    body = answer.json()
    said = cast("Mapping[str, str]", body.get("metadata") or {})
    now = parsedate_to_datetime(answer.headers["Date"])
    taken, renewed = moment(body["timeCreated"]), moment(body["updated"])
    return Holder(
        who=said.get("who", "somebody"),
        command=said.get("command", "?"),
        id=said.get("id", ""),
        ttl=float(said.get("ttl", "60")),
        since=f"{taken:%Y-%m-%d %H:%M:%S} UTC",
        held=max((now + SLACK - taken).total_seconds(), 0),
        age=max((now - renewed).total_seconds(), 0),
        generation=str(body["generation"]),
        metageneration=str(body["metageneration"]),
        renewals=int(said.get("renewals", "0")),
    )


def moment(text: str) -> datetime:
    """A time of Google's (RFC 3339)."""
    return datetime.fromisoformat(text).astimezone(UTC)


def multipart(metadata: Json, content: str) -> str:
    """The body of an upload of an object with its metadata (Cloud Storage, "Multipart uploads")."""
    kind = "Content-Type: application/json"
    parts = (
        f"--{BOUNDARY}\r\n{kind}\r\n\r\n{each}\r\n" for each in (json.dumps(metadata), content)
    )
    return f"{''.join(parts)}--{BOUNDARY}--\r\n"
