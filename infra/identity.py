"""A token that says to a private Cloud Run service who calls it.

An ID token, never the access token that Google's APIs take: what is called could use that.
https://cloud.google.com/run/docs/authenticating/service-to-service
"""

# ruff: noqa: PLC0415

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.cloud import Cloud


def identity_token(cloud: "Cloud", audience: str) -> str:
    """A token for the service at a URL, which is its own also when a tag of it is called; "" when
    these credentials have none to give."""
    from google.auth import impersonated_credentials
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request
    from google.oauth2 import credentials as of_a_user
    from google.oauth2 import id_token

    credentials = cloud.credentials
    request = Request()
    if cloud.is_emulated:
        # The emulator knows one kind of token, and gives it to nobody.
        if not credentials.token:
            credentials.refresh(request)  # type: ignore[no-untyped-call]
        return str(credentials.token)
    try:
        if isinstance(credentials, impersonated_credentials.Credentials):
            impersonated = impersonated_credentials.IDTokenCredentials(  # type: ignore[no-untyped-call]
                credentials, target_audience=audience, include_email=True
            )
            impersonated.refresh(request)
            return str(impersonated.token)
        if isinstance(credentials, of_a_user.Credentials):
            # Cloud Run takes the one that gcloud's login is given, whatever its audience; it comes
            # only when no narrower scopes are asked for.
            whole = of_a_user.Credentials(  # type: ignore[no-untyped-call]
                None,
                refresh_token=credentials.refresh_token,
                token_uri=credentials.token_uri,
                client_id=credentials.client_id,
                client_secret=credentials.client_secret,
            )
            whole.refresh(request)  # type: ignore[no-untyped-call]
            return str(whole.id_token or "")
        return str(id_token.fetch_id_token(request, audience))  # type: ignore[no-untyped-call]
    except (GoogleAuthError, ValueError):
        return ""
