"""The last thing before a line of the log is written: takes secrets out.

No code of ours logs one. But an exception's text may quote an address with
its password, or a header; so each line is looked through.
"""

import json
import logging
import re
from collections.abc import Iterable
from typing import override

from pydantic import BaseModel, SecretStr

HIDDEN = "[hidden]"
# Shorter ones would turn up in words that are none.
SHORTEST = 6
# Each pattern needs one of these. They are quickly looked for, which saves
# most lines the patterns.
SIGNS = ("@", "J", "=", "earer ", "asic ")
PATTERNS = re.compile(
    r"""
      (?<=://) [^\s/"'@:]* : [^\s/"']+ (?=@)   # an address with a password
    | (?<![\w-]) eyJ[\w-]+ \. [\w.-]+           # a JSON web token
    | (?<=\b[Bb]earer\ ) [^\s"',]+
    | (?<=\b[Bb]asic\ ) [A-Za-z0-9+/=]{6,}
    | (?<=[Pp]assword=) [^\s"'&,;)]+
    | (?<=[Tt]oken=) [^\s"'&,;)]+
    | (?<=[Ss]ecret=) [^\s"'&,;)]+
    """,
    re.VERBOSE,
)


class RedactingFormatter(logging.Formatter):
    """Another formatter's lines, without the secrets."""

    def __init__(
        self, formatter: logging.Formatter, secrets: Iterable[str]
    ) -> None:
        super().__init__()
        self._formatter = formatter
        self._secrets = tuple(spellings(secrets))

    @override
    def format(self, record: logging.LogRecord) -> str:
        return redact(self._formatter.format(record), self._secrets)


def redact(line: str, secrets: Iterable[str]) -> str:
    """The line without the secrets, and without what looks like one."""
    for secret in secrets:
        if secret in line:
            line = line.replace(secret, HIDDEN)
    for sign in SIGNS:
        if sign in line:
            return PATTERNS.sub(HIDDEN, line)
    return line


def secrets_of(settings: BaseModel) -> set[str]:
    """The values of all settings that are secret."""
    found: set[str] = set()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            found.add(value.get_secret_value())
        elif isinstance(value, BaseModel):
            found |= secrets_of(value)
    return found


def spellings(secrets: Iterable[str]) -> set[str]:
    """The secrets as they are, and as JSON writes them."""
    long = {secret for secret in secrets if len(secret) >= SHORTEST}
    return long | {
        json.dumps(secret, ensure_ascii=ascii)[1:-1]
        for secret in long
        for ascii in (True, False)
    }
