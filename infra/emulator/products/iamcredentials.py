"""IAM Credentials v1: tokens for those who act as a service account."""

from datetime import timedelta

from google.cloud import iam_credentials_v1 as ic

from infra.emulator import accounts, errors
from infra.emulator.api import Api, Call

_LONGEST = timedelta(hours=1)

api = Api("iamcredentials", prefix="/iamcredentials", enabled=True)


@api.method("google.cloud.iam_credentials_v1", "IAMCredentials", "GenerateAccessToken")
def generate_access_token(
    call: Call[ic.GenerateAccessTokenRequest],
) -> ic.GenerateAccessTokenResponse:
    """The token that makes the emulator take a caller for the account, an hour long by default."""
    request = call.request
    account = accounts.find(call.world, request.name)
    call.require("iam.serviceAccounts.getAccessToken", account["name"])
    for delegate in request.delegates:
        accounts.find(call.world, delegate)
    if account.get("disabled"):
        raise errors.precondition(f"Service account {account['email']} is disabled.")
    if not request.scope:
        raise errors.invalid("At least one scope is required.", "scope")
    lifetime = request.lifetime or _LONGEST
    if not timedelta(0) < lifetime <= _LONGEST:
        raise errors.invalid("The lifetime must be at most 3600 seconds.", "lifetime")
    # To the second, as Google says it: google.auth reads no fractions.
    expiry = (call.world.now() + lifetime).replace(microsecond=0)
    return ic.GenerateAccessTokenResponse(
        access_token=f"emulated:{account['email']}", expire_time=expiry
    )
