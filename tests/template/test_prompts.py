"""The questions: what a user is asked, what follows from the answers, and which are refused."""

import json
import re
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.template.hook_helpers import (
    QUESTIONS,
    REPOSITORY,
    Generated,
    answers,
    generate,
    load_hook,
    make_template,
)

ASKED = [key for key in QUESTIONS if not key.startswith("_")]

# Per question: a value, and the rule that refuses it.
REFUSED = """
service:
  # one for each part of the rule
  - ["", 2 to 22]
  - [a, 2 to 22]
  - [Orders, 2 to 22]
  - [1orders, 2 to 22]
  - [-orders, 2 to 22]
  - [orders-, 2 to 22]
  - [line--items, 2 to 22]
  - [line_items, 2 to 22]
  - [order.s, 2 to 22]
  - [a/b, 2 to 22]
  - [../evil, 2 to 22]
  - ["orders\\n", 2 to 22]
  - [commandé, 2 to 22]
  - [a-name-of-23-characters, 2 to 22]
  - [lambda, word of Python]
  - [match, word of Python]
  - [type, word of Python]
  - [user, PostgreSQL reserves]
  - [current-date, PostgreSQL reserves]
  - [left, PostgreSQL reserves]
  - [postgres, every server has]
  - [fastapi, package that the service depends on]
  - [starlette, package that the service depends on]
  - [cookiecutter-cloudrun, package that the service depends on]
  - [nul, device of Windows]
title:
  - ["", not be empty]
  - [" \\t", not be empty]
  - ["a\\0b", U+0000]
  - ["a\\rb", U+000D]
  - ["a\\x85b", U+0085]
description:
  - ["\\x1b[31mred", U+001B]
  - ["half \\ud83d", U+D83D is half]
  - ["\\ufdd0", U+FDD0]
  - ["\\U0001fffe", U+1FFFE]
author_name:
  - ["", not be empty]
  - ["Ann\\x07", U+0007]
author_email:
  - ["", one email address]
  - [team, one email address]
  - [a@b@c.d, one email address]
  - ["a b@c.d", one email address]
  - ["Ann <ann@example.com>", one email address]
  - ["ann@example.com, bob@example.com", one email address]
  - [ann@, one email address]
  - ["ann@example..com", one email address]
  - [.ann@example.com, one email address]
  - [anné@example.com, one email address]
  - ["ann@example.com\\n", one email address]
region:
  - [mars-west1, "must be one of asia-southeast2,"]
  - [[asia-southeast2], "must be one of asia-southeast2,"]
project_dev:
  - [five5, 6 to 30]
  - [orders-dev-with-thirty-one-char, 6 to 30]
  - [Orders-dev, 6 to 30]
  - [1orders-dev, 6 to 30]
  - [orders-dev-, 6 to 30]
  - [orders_dev, 6 to 30]
  - [my-google-orders, none contains google]
  - [ssl-orders, none contains ssl]
  - [nullable-dev, none contains null]
  - [undefined-dev, none contains undefined]
project_stg:
  - [orders-dev, the project of project_dev]
project_prd:
  - [orders-dev, the project of project_dev]
  - [orders-stg, the project of project_stg]
repository:
  - [orders, owner/name]
  - [acme/orders/src, owner/name]
  - [https://example.com/acme/orders, owner/name]
  - [acme/orders.git, owner/name]
  - [acme/.., owner/name]
  - [-acme/orders, owner/name]
  - [acme--corp/orders, owner/name]
  - ["acme/or ders", owner/name]
  - [a-name-of-40-characters-is-one-too-many1/orders, owner/name]
entity:
  - [Item, 2 to 20]
  - [i, 2 to 20]
  - [line-item, 2 to 20]
  - [line__item, 2 to 20]
  - [_item, 2 to 20]
  - [item_, 2 to 20]
  - [2nd_item, 2 to 20]
  - [artículo, 2 to 20]
  - [an_entity_of_21_chars, 2 to 20]
  - [class, Python's own]
  - [case, Python's own]
  - [list, Python's own]
  - [var, vars is one of Python's own]
  - [exception, class Exception would hide]
  - [user_warning, class UserWarning would hide]
  - [file, class FileNotFoundError would hide]
  - [health, the service has its own health]
  - [http_client, the service has its own http_client]
  - [doc, the service has its own docs]
  - [alembic_version, the service has its own alembic_version]
  - [field, the service has its own Field]
  - [page_query, the service has its own PageQuery]
  - [pg_table, PostgreSQL reserves pg_tables]
license:
  - [WTFPL, "must be one of MIT, Apache-2.0, Proprietary"]
"""
ACCEPTED = """
service: [ab, orders, line-items, v2-api, a-name-of-22-character, json, email]
title: ["Café «Łódź» 注文 🚀", "two\\nlines\\tand a tab", "{{ 7*7 }}", "null"]
description: ["", "'''\\"\\"\\" \\\\ ${HOME} $(rm -rf) : - # %"]
author_name: ["O'Neil, Ann \\"the\\" <Boss>", "李雷"]
author_email: [a@b, first.last+tag@mail.example.com, o'neil@example.com, ann@bücher.example]
region: [asia-southeast2, us-west4]
project_dev: [orders-dev, a1b2c3, orders-dev-with-30-characters1]
repository: ["", acme/orders, Acme-1/orders.api_v2, octocat_acme/x]
entity: ["", none, None, " ", item, line_item, category, person, order, user, license, v2]
license: [MIT, Apache-2.0, Proprietary]
"""


def cases(text: str) -> list[Any]:
    """Each value of the data as one case."""
    data = yaml.safe_load(text)
    return [
        pytest.param(
            key, *(value if isinstance(value, list) else [value]), id=f"{key}={value!r:.40}"
        )
        for key, values in data.items()
        for value in values
    ]


@pytest.fixture(scope="module")
def hook(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return load_hook("pre_gen_project", tmp_path_factory.mktemp("hook"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template") / "cookiecutter-cloudrun")


def context(key: str, value: object) -> dict[str, Any]:
    """The context after one answer, typed; what other keys are made of is given, to reach them."""
    if key in {"service", "entity"}:
        return answers(**{key: value})
    return answers() | {key: value}


def answered(generated: Generated, service: str = "orders") -> dict[str, Any]:
    """The context that the files of a generated service saw."""
    assert generated.status == 0, generated.output
    text = (generated.folder / service / "answers.json").read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    return values


def test_the_questions_in_their_order() -> None:
    assert ASKED == [
        "service",
        "title",
        "description",
        "author_name",
        "author_email",
        "region",
        "project_dev",
        "project_stg",
        "project_prd",
        "repository",
        "entity",
        "license",
    ]


def test_each_question_is_asked_in_plain_words() -> None:
    assert list(QUESTIONS["__prompts__"]) == ASKED


def test_each_region_is_named_with_its_place() -> None:
    places = QUESTIONS["__prompts__"]["region"]
    assert [key for key in places if key != "__prompt__"] == QUESTIONS["region"]
    assert all(places[region].startswith(f"{region} (") for region in QUESTIONS["region"])


def test_cloud_run_has_an_endpoint_in_each_region() -> None:
    documents = files("googleapiclient") / "discovery_cache" / "documents"
    run = json.loads((documents / "run.v2.json").read_text(encoding="utf-8"))
    locations = {endpoint["location"] for endpoint in run["endpoints"]}
    assert set(QUESTIONS["region"]) <= locations
    assert QUESTIONS["region"][0] == "asia-southeast2"


def test_the_defaults_are_good_answers(hook: ModuleType) -> None:
    values = answers()
    assert hook.problems(values, {}, QUESTIONS) == []
    assert {key: values[key] for key in ASKED} == {
        "service": "orders",
        "title": "Orders",
        "description": "Orders on Google Cloud Run",
        "author_name": "The Team",
        "author_email": "team@example.com",
        "region": "asia-southeast2",
        "project_dev": "orders-dev",
        "project_stg": "orders-stg",
        "project_prd": "orders-prd",
        "repository": "",
        "entity": "item",
        "license": "MIT",
    }


def test_title_projects_and_database_follow_the_service() -> None:
    values = answers(service="line-items")
    assert values["title"] == "Line Items"
    assert values["project_prd"] == "line-items-prd"
    assert values["__database"] == "line_items"


@pytest.mark.parametrize(
    ("entity", "derived"),
    [
        ("item", "item | Item | item | items | items | items"),
        ("line_item", "line_item | LineItem | line item | line_items | line items | line-items"),
        (
            "time_series",
            "time_series | TimeSeries | time series | time_series | time series | time-series",
        ),
        ("category", "category | Category | category | categories | categories | categories"),
        *((none, " |  |  |  |  | ") for none in ("", " ", "none", "None", " NONE ", None)),
    ],
)
def test_what_follows_from_the_entity(entity: str | None, derived: str) -> None:
    values = answers(entity=entity)
    keys = ("entity", "entity_class", "entity_words", "entities", "entities_words", "entity_path")
    assert " | ".join(values[f"__{key}"] for key in keys) == derived


@pytest.mark.parametrize(("key", "value", "rule"), cases(REFUSED))
def test_a_bad_answer_is_refused(hook: ModuleType, key: str, value: Any, rule: str) -> None:
    (problem,) = hook.problems(context(key, value), {}, QUESTIONS)
    assert problem[:2] == (key, value)
    assert rule in problem.rule
    assert f"  {key} = {value!r}\n      {problem.rule}" in hook.message([problem])


@pytest.mark.parametrize(("key", "value"), cases(ACCEPTED))
def test_a_good_answer_is_taken(hook: ModuleType, key: str, value: object) -> None:
    assert hook.problems(context(key, value), {}, QUESTIONS) == []


@pytest.mark.parametrize("key", [key for key in ASKED if key not in {"entity", "service"}])
def test_an_answer_has_to_be_text(hook: ModuleType, key: str) -> None:
    problems = hook.problems(answers() | {key: None}, {}, QUESTIONS)
    assert [problem.key for problem in problems] == [key]


def test_an_entity_cannot_take_a_file_that_the_service_has(hook: ModuleType) -> None:
    """Nor a module of a layer, nor a test."""
    named = re.compile(r"test_(\w+)\.py|(\w+)_(?:error|model|repository|router|service)\.py")
    modules = (REPOSITORY / "{{cookiecutter.service}}").rglob("*.py")
    taken = {match[1] or match[2] for path in modules if (match := named.fullmatch(path.name))}
    free = {entity for entity in taken if not hook.problems(answers(entity=entity), {}, QUESTIONS)}
    assert not free


def test_all_bad_answers_are_in_one_message(hook: ModuleType) -> None:
    bad = {"service": "No", "title": "", "author_email": "no", "project_prd": "no", "entity": "No"}
    problems = hook.problems(answers(**bad), {}, QUESTIONS)
    assert {problem.key: problem.value for problem in problems} == bad
    assert all(f"{key} = {value!r}" in hook.message(problems) for key, value in bad.items())


def test_a_name_that_no_project_can_have_is_said_of_the_projects(hook: ModuleType) -> None:
    problems = hook.problems(answers(service="google-orders"), {}, QUESTIONS)
    assert [problem.key for problem in problems] == ["project_dev", "project_stg", "project_prd"]


def test_an_argument_that_is_no_question_is_refused_with_the_nearest(hook: ModuleType) -> None:
    given = {"entiy": "order", "title": "Fine", "zzz": "1"}
    nearest, other = hook.problems(answers(), given, QUESTIONS)
    assert nearest == ("entiy", "order", "is no question; did you mean entity?")
    assert other.key == "zzz"
    assert "service, title" in other.rule


@pytest.mark.parametrize(
    "service",
    ["", "..", "../evil", "a/b/c", "{root}/absolute/evil", "Orders"],
)
def test_a_refused_service_leaves_nothing_behind(
    template: Path, tmp_path: Path, service: str
) -> None:
    root = tmp_path / "root"
    output = root / "deep" / "output"
    output.mkdir(parents=True)
    service = service.format(root=root)
    bad = [f"service={service}", "author_email=no", "entity=class", "serivce=x"]
    result = generate(template, output, *bad)
    assert result.status == 1
    assert f"service = {service!r}" in result.output
    assert "author_email = 'no'" in result.output
    assert "entity = 'class'" in result.output
    assert "serivce = 'x'\n      is no question; did you mean service?" in result.output
    assert "Traceback" not in result.output
    assert list(output.iterdir()) == []
    assert {path.name for path in root.rglob("*") if "home" not in path.parts} == {"deep", "output"}


def test_typed_text_reads_back_as_typed(template: Path, tmp_path: Path) -> None:
    title = "{{ 7*7 }} {% raw %} {# [bold]\"'\\ Café 🚀 : - # '''"
    description = '"""$(rm -rf) `id` ${HOME} %s {0} \\n é — ‘x’ & <b>'  # noqa: RUF001
    typed = ["orders", title, description, "O'Neil {{ 1/0 }}", "o'neil@example.com", "2"]
    typed += ["", "", "", "acme/orders", "line_item", "3"]
    result = generate(template, tmp_path / "output", typed=typed)
    values = answered(result)
    assert values["title"] == title
    assert values["description"] == description
    assert values["author_name"] == "O'Neil {{ 1/0 }}"
    assert values["region"] == "africa-south1"
    assert values["project_dev"] == "orders-dev"
    assert values["license"] == "Proprietary"
    assert values["__entity_class"] == "LineItem"
    texts: dict[str, str] = {}
    source = (tmp_path / "output/orders/texts.py").read_text(encoding="utf-8")
    exec(compile(source, "texts.py", "exec"), texts)  # noqa: S102
    assert (texts["TITLE"], texts["DESCRIPTION"]) == (title, description)


def test_a_typed_none_is_no_entity(template: Path, tmp_path: Path) -> None:
    typed = ["", "", "", "", "", "", "", "", "", "", "none", ""]
    values = answered(generate(template, tmp_path / "output", typed=typed))
    assert values["__entity"] == values["__entity_class"] == values["__entity_path"] == ""
    assert values["license"] == "MIT"


def test_given_text_reads_back_as_given(template: Path, tmp_path: Path) -> None:
    title = "two\nlines \"q\" 'q' \\ é 🚀 : - # $(rm -rf) '''"
    values = answered(generate(template, tmp_path / "output", f"title={title}", "description="))
    assert (values["title"], values["description"]) == (title, "")
