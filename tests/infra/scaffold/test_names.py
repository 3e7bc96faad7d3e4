"""Names: plurals, and the words that are taken."""

import ast
import re
from pathlib import Path

import pytest

import local_extensions
from infra.scaffold import names, reserved

HOOK = Path(__file__).parents[3] / "hooks/pre_gen_project.py"
COMMON = re.findall(
    r"\w+",
    """
    account address agency analysis article author bank batch book box boy branch bus bush
    business buzz calendar campaign cart category century child church city class client
    comment company computer contact country course currency customer day delivery dish
    document employee entry event family feature file flight foot fox friend game glass group
    guest guide hero hotel house image index invoice issue item job journey key knife language
    leaf lesson library life light line_item loan location man match meeting member message
    month mouse movie note offer office order page part party patch path patient payment
    permission person photo piece place plan player policy potato price process product
    profile project property purchase purchase_line quality query question quiz rate reason
    receipt record region reply report request reservation review role room route rule sale
    salesman salesperson schedule school score season seat series service session shelf shift
    ship size song source species staff_member status step stock store story student
    subscription supplier survey switch table_setting tag task tax team thief ticket time
    tomato tooth topic track transaction trip truck unit user vacancy value vehicle vendor
    version video visit voucher wallet warehouse watch week wife wish wolf woman word year
    zone
    """,
)


@pytest.mark.parametrize("name", COMMON)
def test_the_command_and_the_template_agree_on_a_plural(name: str) -> None:
    assert names.plural(name) == local_extensions.plural(name)


@pytest.mark.parametrize(
    "name",
    [
        *local_extensions.IRREGULAR_WORDS,
        *local_extensions.IRREGULAR_ENDINGS,
    ],
)
def test_they_agree_on_irregular_words(name: str) -> None:
    assert names.plural(name) == local_extensions.plural(name)


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("Product", "product"),
        ("LineItem", "line_item"),
        ("HTTPServer", "http_server"),
        ("line-item", "line_item"),
        ("Line item", "line_item"),
        ("Item2", "item2"),
    ],
)
def test_a_name_as_files_have_it(name: str, snake: str) -> None:
    assert names.snake(name) == snake


@pytest.mark.parametrize(
    "variable",
    ["PYTHON_WORDS", "BUILTINS", "POSTGRESQL_WORDS", "SERVICE_NAMES", "SERVICE_CLASSES"],
)
def test_the_hook_has_the_same_words(variable: str) -> None:
    def assigned(path: Path) -> str:
        for each in ast.parse(path.read_text("utf-8")).body:
            if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == variable:
                return ast.unparse(each.value)
        raise AssertionError(f"{path.name} has no {variable}")

    ours = Path(reserved.__file__)
    assert assigned(ours).split() == assigned(HOOK).split()
