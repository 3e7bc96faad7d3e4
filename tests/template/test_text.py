"""The template's filters: any text survives every kind of file, and English nouns have plurals."""

import ast
import json
import random
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from local_extensions import PLAIN, PLAIN_SCRIPTS, contain, literal, one_line, pascal, plural

HOSTILE = [
    "",
    " ",
    "plain",
    'say "hi"',
    "it's",
    "'''",
    '"""',
    "back\\slash \\n \\u0041 \\",
    "two\nlines",
    "tab\tand trailing space ",
    "carriage\rreturn",
    "{{ 7*7 }}",
    "{% raw %}",
    "{% endraw %}",
    "{# note #}",
    "${HOME} $(rm -rf) `id`",
    ": - # ! & * ? | > % @",
    "yes",
    "null",
    "1e3",
    "[table]",
    "--- # not a document",
    "Café déjà vu: Łódź, Ærø, Straße, naïve e\u0301",
    "«quotes» “typographic” ‘single’ ‚low‘ – — … …",  # noqa: RUF001
    "Заказы и счета; Παραγγελίες",
    "注文サービス 订单 주문 ノ丶丿",  # noqa: RUF001
    "🚀 👩‍👩‍👧 🇮🇩 ☎️ 𠜎",
    "\u0085\u2028\u2029\ufeff\u00a0\u200b\u202e\u2066",
    "\u0000\u0001\u0008\u000c\u001b\u007f\u009f",
    "\ufffd\ufffe\uffff\U0001fffe\U0010ffff",
]


def random_texts(count: int) -> list[str]:
    """Texts of random characters, most of them ASCII, the same ones in every run."""
    source = random.Random(20240229)  # noqa: S311
    ranges = [(0, 0x7F)] * 4 + [
        (0x80, 0x2FF),
        (0x300, 0xD7FF),
        (0xE000, 0xFFFF),
        (0x10000, 0x10FFFF),
    ]
    return [
        "".join(chr(source.randint(*source.choice(ranges))) for _ in range(source.randint(1, 40)))
        for _ in range(count)
    ]


def read_back(text: str) -> dict[str, object]:
    """What each language makes of a text's literal."""
    written = literal(text)
    return {
        "Python": ast.literal_eval(written),
        "TOML": tomllib.loads(f"value = {written}\n")["value"],
        "YAML": yaml.safe_load(f"value: {written}\n")["value"],
        "JSON": json.loads(f'{{"value": {written}}}')["value"],
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_a_literal_reads_back_as_typed_in_every_language(text: str) -> None:
    assert read_back(text) == dict.fromkeys(("Python", "TOML", "YAML", "JSON"), text)


def test_random_literals_read_back_as_typed_in_every_language() -> None:
    for text in random_texts(300):
        assert read_back(text) == dict.fromkeys(("Python", "TOML", "YAML", "JSON"), text)


def test_every_character_reads_back_as_typed() -> None:
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for start in range(0, len(characters), 0x8000):
        text = "".join(characters[start : start + 0x8000])
        assert ast.literal_eval(literal(text)) == text
        assert json.loads(literal(text)) == text
        assert tomllib.loads(f"value = {literal(text)}")["value"] == text


def test_a_literal_is_one_double_quoted_line() -> None:
    for text in HOSTILE + random_texts(100):
        written = literal(text)
        assert written[0] == written[-1] == '"'
        assert '"' not in written[1:-1]
        assert len(written.splitlines()) == 1


def test_common_text_stays_readable() -> None:
    text = "Pedidos é cafés, Łódź — 注文サービス, 주문 🚀"
    assert literal(text) == f'"{text}"'


def test_literals_in_python_pass_ruff(tmp_path: Path) -> None:
    """The rules and the formatter of a generated service, on all that is not escaped."""
    scripts = [
        chr(code)
        for first, last in PLAIN_SCRIPTS.values()
        for code in range(ord(first), ord(last) + 1)
    ]
    accented = [chr(code) for code in range(0xA0, 0x1F00)]
    texts = HOSTILE + ["".join(part) for part in (sorted(PLAIN), scripts, accented)]
    texts += [f"a{character}a" for character in [*sorted(PLAIN), *accented, *scripts[::20]]]
    lines = [f"TEXT_{number} = {literal(text)}\n" for number, text in enumerate(texts)]
    (tmp_path / "texts.py").write_text("".join(lines), encoding="utf-8", newline="\n")
    rules = "ASYNC,F,FAST,I,PLE,RUF,UP"
    for command in (["check", "--select", rules], ["format", "--check", "--line-length", "320"]):
        result = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", tmp_path],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert result.returncode == 0, result.stdout[-2000:]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Orders", "Orders"),
        ("two\nlines", "two lines"),
        (" a \t\r\n\n b\u2028c ", "a b c"),
        ("\n# not a heading", "# not a heading"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("singular", "many"),
    [
        line.split()
        for line in """
        address addresses
        alias aliases
        analysis analyses
        analytics analytics
        axis axes
        batch batches
        bookshelf bookshelves
        box boxes
        bus buses
        category categories
        chief chiefs
        child children
        colloquy colloquies
        criterion criteria
        crisis crises
        datum data
        day days
        dish dishes
        foreman foremen
        grandchild grandchildren
        hero heroes
        human humans
        index indexes
        invoice_entry invoice_entries
        item items
        key keys
        knife knives
        leaf leaves
        line_item line_items
        man men
        matrix matrices
        monarch monarchs
        mouse mice
        news news
        order orders
        ox oxen
        people_leaf people_leaves
        person people
        phenomenon phenomena
        photo photos
        proof proofs
        quiz quizzes
        relief reliefs
        sales_person sales_people
        salesperson salespeople
        series series
        spacecraft spacecraft
        status statuses
        stomach stomachs
        time_series time_series
        v2 v2s
        wolf wolves
        woman women
        """.strip().splitlines()
    ],
)
def test_plural(singular: str, many: str) -> None:
    assert plural(singular) == many


@pytest.mark.parametrize(
    ("name", "class_name"),
    [("item", "Item"), ("line_item", "LineItem"), ("v2_api", "V2Api"), ("line-item", "LineItem")],
)
def test_pascal(name: str, class_name: str) -> None:
    assert pascal(name) == class_name


def test_of_no_entity_nothing_is_made() -> None:
    assert plural("") == pascal("") == one_line("") == ""


@pytest.mark.parametrize("service", ["orders", "line-items", "2fast", "a"])
def test_a_folder_name_is_taken_as_it_is(service: str) -> None:
    answers: dict[str, object] = {"service": service}
    assert contain(answers) == service
    assert answers == {"service": service}


@pytest.mark.parametrize(
    "service",
    [
        "",
        ".",
        "..",
        "../evil",
        "a/b",
        "/etc/evil",
        "a\\b",
        "C:evil",
        "nul",
        "com1",
        "Orders",
        "a\n",
    ],
)
def test_what_names_no_folder_here_gets_a_stand_in(service: str) -> None:
    answers: dict[str, object] = {"service": service}
    assert contain(answers) == service
    assert answers["service"] == "refused_service"
