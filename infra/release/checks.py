"""A revision without traffic, asked over HTTP at the address of its tag."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

import requests
from google.cloud import run_v2

from infra.identity import identity_token
from infra.release import ReleaseError
from infra.release.live import tag_uri
from infra.resources.base import Work

HEALTH = {"/health": 200}
# It may have to be started for the request.
REQUEST_SECONDS = 60.0
# A new address is not known everywhere at once, nor is a new binding of who may call.
LATE_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 3.0
SLOWER = 1.6
SHOWN = 500
REFUSED = (401, 403)
ANYBODY = "allUsers"
THROTTLED = 429
SERVER_ERROR = 500


@dataclass(frozen=True)
class Answer:
    """What a path answered; status 0: nothing came, and the text says why."""

    status: int
    text: str
    is_page: bool = False
    """It is HTML, as Google's front end answers that refuses a caller or knows no such address."""

    @property
    def by_google(self) -> bool:
        """Whether Google's front end refused the caller: the service never saw the request."""
        return self.is_page and self.status in REFUSED

    @property
    def is_final(self) -> bool:
        """Whether it is the service's own word, which it would only repeat."""
        return 0 < self.status < SERVER_ERROR and self.status != THROTTLED and not self.is_page


def check(work: Work, live: run_v2.Service, declared: Mapping[str, int]) -> str:
    """Asks each path of the candidate. Returns what was found, for people.

    Raises ReleaseError when one answers another status than it should. From where the service
    can't be called nothing is known: what was declared is then an error, and /health is not, which
    Cloud Run's own probe has asked.
    """
    uri = tag_uri(live)
    why = unreachable(live, uri)
    headers = {} if why else authorization(work, live)
    if headers is None:
        why = "these credentials have no ID token to show, but an account's in impersonate has"
    if why or headers is None:
        return unknown(why, declared)
    paths = {**HEALTH, **declared}
    for path, status in paths.items():
        answer = ask_until(work, uri.rstrip("/") + path, status, headers)
        if answer.status == status:
            continue
        if answer.by_google:
            return unknown("you may not call it, which takes roles/run.invoker", declared)
        if not answer.status:
            return unknown(f"GET {path} was not answered: {answer.text}", declared)
        text = answer.text.strip()
        raise ReleaseError(f"GET {path} answered {answer.status}, and not {status}: {text}")
    return ", ".join(f"{path} {status}" for path, status in paths.items())


def unknown(why: str, declared: Mapping[str, int]) -> str:
    """What to say when nothing could be found out. Raises ReleaseError when it was declared."""
    if declared:
        raise ReleaseError(f"release.checks can't be made from here: {why}")
    return f"not checked from here: {why}"


def unreachable(live: run_v2.Service, uri: str) -> str:
    """Why the candidate can't be called from here; "" when it can."""
    ingress = run_v2.IngressTraffic
    if live.ingress not in (
        ingress.INGRESS_TRAFFIC_ALL,
        ingress.INGRESS_TRAFFIC_UNSPECIFIED,
    ):
        return "its ingress is internal"
    return "" if uri else "its default URL is disabled"


def authorization(work: Work, live: run_v2.Service) -> dict[str, str] | None:
    """The header that says to Cloud Run who calls; none for a public service, which could use the
    token itself. None when there is no token to be had."""
    if live.invoker_iam_disabled or ANYBODY in work.cloud.environment.service.invokers:
        return {}
    token = identity_token(work.cloud, live.uri)
    # Not Authorization, which is the service's own to read.
    return {"X-Serverless-Authorization": f"Bearer {token}"} if token else None


def ask_until(work: Work, url: str, status: int, headers: Mapping[str, str]) -> Answer:
    """The answer of a URL: the first that has the status or is final, or after a while the last."""
    deadline = monotonic() + LATE_SECONDS
    pause = FIRST_PAUSE_SECONDS
    while True:
        answer = ask(url, headers)
        if answer.status == status or answer.is_final or monotonic() >= deadline:
            return answer
        work.retry.pause(pause)
        pause = min(pause * SLOWER, LONGEST_PAUSE_SECONDS)


def ask(url: str, headers: Mapping[str, str]) -> Answer:
    """What a URL answers now."""
    try:
        # A redirect is an answer of the service's, and the token is for nobody else.
        answer = requests.get(
            url, headers=dict(headers), timeout=REQUEST_SECONDS, allow_redirects=False
        )
    except requests.RequestException as error:
        return Answer(0, str(error))
    is_page = answer.headers.get("content-type", "").startswith("text/html")
    return Answer(answer.status_code, answer.text[:SHOWN], is_page)
