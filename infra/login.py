"""What is said of a login that fails, and of an emulator that does not answer.

Only words and one look: the clients are in cloud.py.
"""

import json

from infra.environment import Environment
from infra.project import ProjectError
from infra.rest import ConnectionLost, Request, Rest, RestError

EMULATOR = "CLOUD_EMULATOR_HOST"
# Where Google's libraries ask who they are; an emulator says so to what it runs.
METADATA = "GCE_METADATA_HOST"
LOG_IN = (
    "there are no Google credentials. Log in with\n"
    "    gcloud auth application-default login\n"
    "or name a key's file in GOOGLE_APPLICATION_CREDENTIALS. "
    "The environment local needs none: --env local"
)


LOG_IN_AGAIN = "Log in again:\n    gcloud auth application-default login"


def refused(error: Exception, environment: Environment) -> str:
    """What to say when Google gives us no token: its reason, and what to do."""
    said = reason_in(error)
    account = environment.impersonate
    if account is None or "invalid_grant" in said or "eauthenticat" in said:
        return f"Google does not take the credentials: {said}\n{LOG_IN_AGAIN}"
    return (
        f"there is no acting as {account}, which environments/{environment.name}.yaml names as "
        f"impersonate: {said}\nThe account has to exist, and you need "
        "roles/iam.serviceAccountTokenCreator on it"
    )


def reason_in(error: Exception) -> str:
    """What Google said, which google.auth puts beside its own words as JSON."""
    for part in error.args[1:]:
        try:
            answer = json.loads(part) if isinstance(part, str) else part
            return str(answer["error"]["message"])
        except (ValueError, TypeError, KeyError):
            continue
    return str(error.args[0]) if error.args else str(error)


def check_emulator(rest: Rest, endpoint: str) -> None:
    """Raises ProjectError when no emulator answers at HOST:PORT."""
    try:
        answer = rest.fetch(Request("", ""))
        if isinstance(answer, dict) and "emulator" in str(answer.get("name")):
            return
        why = "something else answers there"
    except (RestError, ConnectionLost) as error:
        why = str(error)
    raise ProjectError(
        f"no emulator answers at {endpoint} ({why}). Start it with invoke emulator.start, "
        f"and unset {EMULATOR} to talk to Google itself"
    )
