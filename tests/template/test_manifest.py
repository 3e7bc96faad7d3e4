"""What is sent to Google: Cloud Run's manifest, Cloud Build's steps, and Skaffold's loop."""

import re
from pathlib import Path

import pytest
import yaml

from tests.conftest import Bake
from tests.template.delivery import OWN_PROJECTS, environment, load
from tests.template.ignores import gitignore_rules, left_out
from tests.template.manifests import DEPLOYMENT, NAME, rendered_manifest


def test_every_name_in_the_manifest_is_documented(folder: Path) -> None:
    text = (folder / "ci/cloud-run.yaml").read_text()
    comment, manifest = text.split("apiVersion:", 1)
    documented = set(re.findall(r"^#   (\w+)  ", comment, re.MULTILINE))
    assert documented == set(NAME.findall(manifest)) == set(DEPLOYMENT)


def test_the_manifest_is_yaml_before_anything_is_filled_in(folder: Path) -> None:
    assert load(folder / "ci/cloud-run.yaml")["metadata"]["name"] == "${SERVICE}"


def test_the_password_is_a_version_of_a_secret_and_nothing_else_is(folder: Path) -> None:
    (container,) = rendered_manifest(folder)["spec"]["template"]["spec"]["containers"]
    secrets = {
        variable["name"]: variable["valueFrom"]["secretKeyRef"]
        for variable in container["env"]
        if "valueFrom" in variable
    }
    assert secrets == {
        "DATABASE__PASSWORD": {
            "name": DEPLOYMENT["DATABASE_SECRET"],
            "key": DEPLOYMENT["DATABASE_SECRET_VERSION"],
        }
    }


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe"])
def test_the_probes_keep_cloud_run_s_limits(probe: str, folder: Path) -> None:
    (container,) = rendered_manifest(folder)["spec"]["template"]["spec"]["containers"]
    settings = container[probe]
    assert settings["timeoutSeconds"] <= settings["periodSeconds"]
    assert settings["periodSeconds"] * settings["failureThreshold"] <= 240


def test_the_build_pushes_what_it_tags_and_uses_every_substitution(folder: Path) -> None:
    text = (folder / "ci/cloud-build.yaml").read_text()
    config = yaml.safe_load(text)
    tagged = [
        argument.removeprefix("--tag=")
        for step in config["steps"]
        for argument in step.get("args", [])
        if argument.startswith("--tag=")
    ]
    assert tagged == config["images"]
    # What is released has been pushed before.
    steps = {step["id"]: step for step in config["steps"]}
    image = steps["push"]["args"][-1]
    assert image in tagged
    assert f"IMAGE={image}" in steps["release"]["env"]
    assert [*steps][-2:] == ["push", "release"]
    own = set(re.findall(r"\$\{(_\w+)\}", text))
    assert own == set(config["substitutions"])


def test_skaffold_builds_this_image_and_deploys_what_render_writes(folder: Path) -> None:
    text = (folder / "ci/skaffold.yaml").read_text()
    config = yaml.safe_load(text)
    (artifact,) = config["build"]["artifacts"]
    assert (folder / artifact["docker"]["dockerfile"]).is_file()
    (manifest,) = config["manifests"]["rawYaml"]
    assert f"invoke render --env dev > {manifest}" in text
    assert left_out(gitignore_rules(folder), [manifest])


@pytest.mark.parametrize("name", ["dev", "stg", "prd"])
def test_skaffold_deploys_to_the_environment_s_project(name: str, baked: Bake) -> None:
    folder = baked(**OWN_PROJECTS).folder
    profiles = load(folder / "ci/skaffold.yaml")["profiles"]
    (profile,) = [profile for profile in profiles if profile["name"] == name]
    declared = environment(folder, name)
    target = profile["deploy"]["cloudrun"]
    assert target == {"projectid": declared["project"], "region": declared["region"]}
    (patch,) = profile["patches"]
    host = f"{declared['region']}-docker.pkg.dev"
    assert patch["value"] == f"{host}/{declared['project']}/orders/orders"
