"""Generated services pass their own checks, whatever was answered."""

import json
import re
import subprocess
import tomllib

import pytest
import yaml

from tests.conftest import Bake
from tests.template.bakes import HOSTILE, QUESTIONS, REPOSITORY

# An entity's name decides where its lines are sorted and broken: one for each place.
SERVICES = {
    "defaults": {},
    "no-entity": {"entity": "none"},
    "irregular-plural": {
        "entity": "sales_person",
        "region": "europe-west1",
        "repository": "acme/orders",
        "author_email": "team+orders@acme.example",
        "project_dev": "acme-one",
        "project_stg": "acme-two",
        "project_prd": "acme-three",
    },
    "sorted-first": {
        "entity": "address_of_a_company",
        "service": "address-book",
        "license": "Apache-2.0",
    },
    "hostile": {**HOSTILE, "entity": "category", "license": "Proprietary"},
}

ENDPOINTS = {
    "defaults": "items",
    "irregular-plural": "sales-people",
    "sorted-first": "address-of-a-companies",
    "hostile": "categories",
}


@pytest.mark.parametrize("name", ["defaults", "no-entity"])
def test_a_service_passes_its_own_lint(baked: Bake, name: str) -> None:
    baked(**SERVICES[name]).passes("invoke", "lint")


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"defaults", "no-entity"}))
def test_names_and_texts_leave_lines_where_the_linter_wants_them(baked: Bake, name: str) -> None:
    # Its types, imports and migrations are those of the defaults.
    service = baked(**SERVICES[name])
    service.passes("ruff", "check")
    service.passes("ruff", "format", "--check")


@pytest.mark.long
def test_a_service_passes_its_own_tests(baked: Bake) -> None:
    # The service's own CI asks more of its API: here its other tests are many already.
    output = baked().passes("invoke", "test", CONTRACT_EXAMPLES="3")
    assert re.search(r"\d+ passed", output)
    assert "Required test coverage of 95.0% reached" in output


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"defaults"}))
def test_a_service_passes_the_tests_that_its_answers_reach(baked: Bake, name: str) -> None:
    answers = SERVICES[name]
    entity = [] if name == "no-entity" else [answers["entity"]]
    reached = [
        f"tests/test_{each}.py" for each in (*entity, "docs", "errors", "layers", "migrations")
    ]
    # Ten processes that migrate at once know nothing of the answers, and cost more than all else.
    output = baked(**answers).passes("pytest", "-q", "-k", "not of_ten_at_once", *reached)
    assert re.search(r"\d+ passed", output)


@pytest.mark.parametrize(("name", "path"), ENDPOINTS.items())
def test_the_entity_is_at_its_plural(baked: Bake, name: str, path: str) -> None:
    service = baked(**SERVICES[name])
    code = "import json; from src import app; print(json.dumps(app.openapi()))"
    document = json.loads(service.passes("python", "-c", code))
    assert set(document["paths"]) == {"/health", "/live", f"/{path}/", f"/{path}/{{id}}"}


def test_without_an_entity_there_are_the_probes_alone(baked: Bake) -> None:
    service = baked(**SERVICES["no-entity"])
    code = "import json; from src import app; print(json.dumps(app.openapi()))"
    document = json.loads(service.passes("python", "-c", code))
    assert set(document["paths"]) == {"/health", "/live"}
    listed = subprocess.check_output(["git", "ls-files"], cwd=service.folder, text=True)
    names = [line.rpartition("/")[2] for line in listed.splitlines()]
    assert [name for name in names if name.startswith("_") and not name.startswith("__")] == []


def test_text_reads_back_as_typed(baked: Bake) -> None:
    service = baked(**SERVICES["hostile"])
    code = "import json; from src.about import *; print(json.dumps([TITLE, DESCRIPTION]))"
    title, description = json.loads(service.passes("python", "-c", code))
    assert (title, description) == (HOSTILE["title"], HOSTILE["description"])
    project = tomllib.loads((service.folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["authors"][0]["name"] == HOSTILE["author_name"]
    assert project["description"] == HOSTILE["description"].replace("\n", " ")
    for path in [*service.folder.glob("environments/*"), *service.folder.glob("*.yml")]:
        assert yaml.safe_load(path.read_text("utf-8"))


def test_each_choice_is_taken(baked: Bake) -> None:
    for answers in (
        {"region": "europe-west1", "license": "MIT", "repository": "acme/orders"},
        {"project_dev": "acme-one", "project_stg": "acme-two", "project_prd": "acme-three"},
    ):
        service = baked(**answers)
        texts = "\n".join(
            path.read_text("utf-8") for path in service.folder.glob("environments/*.yaml")
        )
        for key, value in answers.items():
            assert key == "license" or value in texts


@pytest.mark.parametrize(
    ("license", "words"),
    [
        ("MIT", "Permission is hereby granted"),
        ("Apache-2.0", "Apache License"),
        ("Proprietary", "All rights reserved"),
    ],
)
def test_the_license_is_the_chosen_one(baked: Bake, license: str, words: str) -> None:
    chosen = [answers for answers in SERVICES.values() if answers.get("license", "MIT") == license]
    text = (baked(**chosen[0]).folder / "LICENSE").read_text("utf-8")
    assert words in text


def test_the_services_answer_questions_that_are_asked() -> None:
    for answers in SERVICES.values():
        assert answers.keys() <= QUESTIONS.keys()


def test_the_files_are_those_of_the_docs(baked: Bake) -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=baked().folder, capture_output=True, text=True, check=True
    )
    page = (REPOSITORY / "docs/service.md").read_text("utf-8")
    tree = page.split("<!-- files -->")[1].split("```")[1].split("\n", 1)[1]
    documented, folders = set(), [""]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        folders[depth + 1 :] = [folders[depth] + name]
        if not name.endswith("/"):
            documented.add(folders[depth] + name)
    assert documented == set(listed.stdout.splitlines())


def test_it_locks_nothing_that_a_service_may_be_called(baked: Bake) -> None:
    service = baked()
    lock = tomllib.loads((service.folder / "uv.lock").read_text("utf-8"))
    locked = {package["name"] for package in lock["package"]} - {service.folder.name}
    hook = (REPOSITORY / "hooks/pre_gen_project.py").read_text("utf-8")
    refused = hook.split('DEPENDENCIES = words("""')[1].split('"""')[0].split()
    assert locked <= set(refused)
