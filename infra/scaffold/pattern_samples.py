"""Texts that a pattern matches, for the tests of a field that has one."""

import re
from functools import cache

SAMPLES = 3


@cache
def matching(pattern: str, least: int, most: int | None) -> tuple[str, ...]:
    """The simplest texts that match, of the lengths; none when none was found soon."""
    from hypothesis import HealthCheck, find, settings  # noqa: PLC0415
    from hypothesis import strategies as st  # noqa: PLC0415
    from hypothesis.errors import NoSuchExample  # noqa: PLC0415

    plain = st.characters(codec="ascii", exclude_categories=["Cc"])
    texts = st.from_regex(re.compile(pattern), alphabet=plain)
    calm = settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=500,
        suppress_health_check=list(HealthCheck),
    )
    found: list[str] = []
    for _ in range(SAMPLES):
        try:
            found.append(
                find(
                    texts,
                    lambda text: (
                        text not in found
                        and len(text) >= least
                        and (most is None or len(text) <= most)
                        and text == text.strip()
                    ),
                    settings=calm,
                )
            )
        except NoSuchExample:
            break
    return tuple(found)
