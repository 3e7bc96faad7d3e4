"""Who calls Google, and for how long: the one check that the others can't do without."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from infra.doctor.base import Context, Finding, Unreadable, failed, ok
from infra.project import ProjectError
from infra.report import spell

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

LOGIN = "login"
AGAIN = "gcloud auth application-default login"
TOKEN_INFO = "https://oauth2.googleapis.com/tokeninfo"  # noqa: S105
EMULATED = "user:owner@local"


def login(context: Context) -> list[Finding]:
    """Whether there is somebody to call as; notes in the context who."""
    try:
        context.read("log in", context.cloud.connect)
    except ProjectError as error:
        account = context.environment.impersonate
        if account and account in str(error):
            return [failed(LOGIN, str(error).partition("\n")[0], fix_of(context))]
        text, _, fix = str(error).partition(". ")
        return [failed(LOGIN, text, fix)]
    except Unreadable as error:
        return [failed(LOGIN, str(error), fix_of(context))]
    context.member = member_of(context)
    who = context.member.partition(":")[2] or "somebody Google does not name"
    if context.cloud.is_emulated:
        return [ok(LOGIN, f"{who}, at the emulator on {context.cloud.endpoint}")]
    return [ok(LOGIN, f"{who}{lasting(context.cloud.credentials)}")]


def fix_of(context: Context) -> str:
    """What lets a refused caller in."""
    account = context.environment.impersonate
    if account is None:
        return AGAIN
    return (
        f"{AGAIN}\nor, if you may not act as {account}: gcloud iam service-accounts "
        f"add-iam-policy-binding {account} --project={context.project} "
        "--member=user:YOU --role=roles/iam.serviceAccountTokenCreator"
    )


def member_of(context: Context) -> str:
    """Who calls, as policies name them; "" when Google does not say."""
    if context.environment.impersonate:
        return f"serviceAccount:{context.environment.impersonate}"
    if context.cloud.is_emulated:
        return EMULATED
    credentials = context.cloud.credentials
    email = str(getattr(credentials, "service_account_email", "") or "")
    if "@" not in email:
        # In the body: an address ends up in logs.
        answer = context.cloud.session.post(
            TOKEN_INFO, data={"access_token": credentials.token}, timeout=30
        )
        email = str(answer.json().get("email", "")) if answer.ok else ""
    if not email:
        return ""
    kind = "serviceAccount" if email.endswith(".gserviceaccount.com") else "user"
    return f"{kind}:{email}"


def lasting(credentials: "Credentials") -> str:
    """How long the token lasts that was just made."""
    if credentials.expiry is None:
        return ""
    left = (credentials.expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    return f", the token lasts {spell(left)} and is renewed by itself"
