"""A release is one thing: CHANGELOG.md, pyproject.toml and uv.lock say the same version."""

import re
import tomllib
from datetime import date
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+) \((\d{4}-\d{2}-\d{2})\)")


def headings() -> list[str]:
    """The sections of the change log, as they stand."""
    return SECTION.findall((REPOSITORY / "CHANGELOG.md").read_text("utf-8"))


def test_what_is_not_released_yet_stands_first() -> None:
    assert "Unreleased" not in headings()[1:]


def test_the_newest_release_is_the_version_of_the_package_and_of_its_lock() -> None:
    newest = next(heading for heading in headings() if heading != "Unreleased")
    package = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    lock = tomllib.loads((REPOSITORY / "uv.lock").read_text("utf-8"))["package"]
    locked = [each["version"] for each in lock if each["name"] == package["name"]]
    assert [newest.split()[0]] == [package["version"]] == locked


def test_releases_go_down_in_version_and_in_time_and_each_has_notes() -> None:
    released = [heading for heading in headings() if heading != "Unreleased"]
    found = [RELEASE.fullmatch(heading) for heading in released]
    assert all(found), released
    versions = [tuple(map(int, each.groups()[:3])) for each in found if each]
    days = [date.fromisoformat(each[4]) for each in found if each]
    assert versions == sorted(set(versions), reverse=True)
    assert days == sorted(days, reverse=True)
    text = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    for notes in SECTION.split(text)[2::2]:
        assert re.search(r"^- ", notes, re.MULTILINE)
