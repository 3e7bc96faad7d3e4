"""The layers' `__init__` are edited where it is needed, and stay as they were everywhere else."""

import pytest

from infra.project import ProjectError
from infra.scaffold.edit import add_to, register, register_names, unregister

PATH = "src/models/__init__.py"
BEFORE = '''"""The entities."""

# The base of all.
from src.models.base_model import BaseRow, Text
from src.models.zebra_model import Zebra  # striped

__all__ = [
    "BaseRow",  # first
    # what follows is ours
    "Text",
    "Zebra",  # last
]
'''
AFTER = '''"""The entities."""

# The base of all.
from src.models.base_model import BaseRow, Text
from src.models.order_model import (
    Order,
    OrderBase,
)
from src.models.zebra_model import Zebra  # striped

__all__ = [
    "BaseRow",  # first
    # what follows is ours
    "Order",
    "OrderBase",
    "Text",
    "Zebra",  # last
]
'''


def test_names_are_sorted_in_and_comments_stay() -> None:
    once = register(PATH, BEFORE, "src.models.order_model", ["Order", "OrderBase"])
    assert once == AFTER
    assert register(PATH, once, "src.models.order_model", ["Order", "OrderBase"]) == once
    assert unregister(PATH, once, "src.models.order_model") == BEFORE


def test_the_last_keeps_its_comment_when_another_comes_behind_it() -> None:
    after = register(PATH, BEFORE, "src.models.zoo_model", ["Zoo"])
    assert '    "Zebra",  # last\n    "Zoo",\n]\n' in after
    assert "import Zebra  # striped\nfrom src.models.zoo_model import Zoo\n" in after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("routers = (b_router,)\n", "routers = (\n    a_router,\n    b_router,\n)\n"),
        ("routers = [b_router]\n", "routers = [\n    a_router,\n    b_router,\n]\n"),
        ("routers = ()\n", "routers = (\n    a_router,\n)\n"),
        (
            "routers: tuple[X, ...] = (\n    b_router,  # b\n)\n",
            "routers: tuple[X, ...] = (\n    a_router,\n    b_router,  # b\n)\n",
        ),
    ],
)
def test_a_router_is_added_in_the_way_that_they_are_written(before: str, after: str) -> None:
    assert add_to("src/routers/__init__.py", before, "routers", ["a_router"]) == after


def test_more_names_of_a_module_are_handed_on() -> None:
    once = register(PATH, BEFORE, "src.models.order_model", ["Order", "OrderBase"])
    more = register_names(PATH, once, "src.models.order_model", ["OrderKind"])
    assert more == once.replace("    OrderBase,\n", "    OrderBase,\n    OrderKind,\n").replace(
        '    "OrderBase",\n', '    "OrderBase",\n    "OrderKind",\n'
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('"""Empty."""\n', "no __all__"),
        ("__all__ = names()\n", "no __all__"),
        ("__all__ = [\n", "no Python"),
    ],
)
def test_a_file_without_the_place_is_refused_by_name(source: str, said: str) -> None:
    with pytest.raises(ProjectError, match=rf"src/models/__init__\.py.*{said}"):
        register(PATH, source, "src.models.order_model", ["Order"])
