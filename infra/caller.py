"""Who we are to Google, as far as the credentials say, and to people."""

import getpass
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.cloud import Cloud

SERVICE_ACCOUNT = ".gserviceaccount.com"


def account(cloud: "Cloud") -> str:
    """Email of the account that calls are made as; "" when the credentials do not say."""
    if cloud.environment.impersonate:
        return cloud.environment.impersonate
    credentials = cloud.credentials
    for name in ("service_account_email", "account"):
        email = getattr(credentials, name, "")
        if isinstance(email, str) and "@" in email:
            return email
    return ""


def member(cloud: "Cloud") -> str:
    """The account as a member of policies; "" when it is not known."""
    email = account(cloud)
    if not email:
        return ""
    kind = "serviceAccount" if email.endswith(SERVICE_ACCOUNT) else "user"
    return f"{kind}:{email}"


def who(cloud: "Cloud") -> str:
    """Who runs a command, for other people: the account and where, or the user and where."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    place = f"{user}@{socket.gethostname()}"
    email = account(cloud)
    return f"{email} ({place})" if email else place
