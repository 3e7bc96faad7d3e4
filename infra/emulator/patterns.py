"""Regular expressions of a filter: Logging's are RE2's, which take time linear in the text.

Python's do not, and hold up every other thread meanwhile; so what could take for ever is refused.
"""

import re
from collections.abc import Iterable
from typing import Any

from infra.emulator import errors

_LONGEST = 1024


def compile_re2(text: str) -> re.Pattern[str]:
    """Returns the pattern; 400 for what RE2 does not know, 501 for what may take for ever here."""
    if len(text) > _LONGEST:
        raise _unparseable("the regular expression is too long")
    try:
        pattern = re.compile(text)
        parsed: Any = re._parser.parse(text)  # type: ignore[attr-defined]
    except (re.error, OverflowError, RecursionError) as error:
        raise _unparseable(str(error)) from None
    _check(parsed, inside=False)
    return pattern


def _check(items: Iterable[Any], *, inside: bool) -> None:
    """`inside` is whether the items are repeated without a limit already."""
    for operator, argument in items:
        match str(operator):
            case "ASSERT" | "ASSERT_NOT" | "GROUPREF" | "GROUPREF_EXISTS" | "ATOMIC_GROUP":
                raise _unparseable("invalid perl operator")
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                _, most, repeated = argument
                many = most > 1
                if inside and many:
                    raise errors.unimplemented("a repetition in a repetition in Logging's filters")
                _check(repeated, inside=inside or many)
            case "SUBPATTERN":
                _check(argument[-1], inside=inside)
            case "BRANCH":
                if inside:
                    raise errors.unimplemented("a choice in a repetition in Logging's filters")
                for branch in argument[1]:
                    _check(branch, inside=inside)


def _unparseable(why: str) -> errors.GoogleError:
    return errors.invalid(f"Unparseable filter: {why}", "filter")
