"""PostgreSQL's SCRAM-SHA-256 verifier of a password, so that the password itself is never sent.

Source: RFC 5802, RFC 7677, and PostgreSQL's `scram-common.c`.
"""

import base64
import hashlib
import hmac
import secrets
import stringprep
import unicodedata

ITERATIONS = 4096


def verifier(password: str) -> str:
    """What PostgreSQL stores, and takes in place of a password."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", _prepare(password).encode(), salt, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${ITERATIONS}:{_text(salt)}${_text(stored)}:{_text(server)}"


def _prepare(password: str) -> str:
    """SASLprep (RFC 4013); a password it would refuse is taken as it is, as PostgreSQL does."""
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if not stringprep.in_table_b1(character)
    )
    normal = unicodedata.normalize("NFKC", mapped)
    refused = any(
        stringprep.in_table_c21_c22(character)
        or stringprep.in_table_c3(character)
        or stringprep.in_table_a1(character)
        for character in normal
    )
    return password if refused or not normal else normal


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
