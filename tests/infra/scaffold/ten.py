"""`--whole-suite` of the service of ten entities.

    uv run pytest tests/infra/scaffold/test_ten_entities.py --whole-suite

Loaded by tests/conftest.py: an option has to be known before tests are collected.
"""

import pytest

OPTION = "--whole-suite"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    parser.addoption(
        OPTION,
        action="store_true",
        help="the service of ten entities passes all of its tests: ten minutes more",
    )
