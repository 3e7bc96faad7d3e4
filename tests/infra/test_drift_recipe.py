"""The drift check of the docs: a build that Cloud Build takes, with options that there are."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from infra.tasks.docs import DOCS
from tests.template.checkers import check_build

ROOT = DOCS.parent
PAGE = (DOCS / "provisioning.md").read_text("utf-8")
UV = "ci/uv.txt"


def build_file() -> str:
    """The build of the page."""
    match = re.search(r"```yaml\n(# ci/cloud-drift.yaml\n.*?)```", PAGE, re.DOTALL)
    assert match
    return match[1]


def test_cloud_build_takes_the_build(tmp_path: Path) -> None:
    file = tmp_path / "cloud-drift.yaml"
    file.write_text(build_file())
    assert check_build(file) == ""
    file.write_text(build_file().replace("entrypoint:", "entry_point:"))
    assert check_build(file)


def test_its_options_are_those_of_the_command() -> None:
    words = yaml.safe_load(build_file())["steps"][0]["args"][1].split()
    used = [each for each in words[words.index("provision") :] if each.startswith("--")]
    helped = subprocess.run(
        [sys.executable, "-m", "invoke", "--help", "provision"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert used == ["--env", "--check", "--diff", "--exit-code"]
    assert all(option in helped for option in used)


def test_its_uv_is_the_one_of_the_image() -> None:
    assert f"--require-hashes --requirement {UV} " in build_file()
    assert (ROOT / "{{cookiecutter.service}}" / UV).exists()


def test_every_substitution_is_used_and_given() -> None:
    build = yaml.safe_load(build_file())
    used = set(re.findall(r"\$\{(_\w+)\}", str(build["steps"])))
    assert used == set(build["substitutions"])
