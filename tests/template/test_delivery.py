"""All files that build and deploy a service: their tools take them, and they agree."""

import re
import shutil
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException
from pytest_cookies.plugin import Cookies  # type: ignore[import-untyped]

from tests.conftest import Bake
from tests.template.bakes import REPOSITORY
from tests.template.checkers import CHECKS, check_nix
from tests.template.delivery import DELIVERY, REGION, environment, load
from tests.template.images import stages
from tests.template.manifests import rendered_manifest


@pytest.mark.parametrize("name", CHECKS)
def test_its_tool_accepts(name: str, folder: Path, folder_without_repository: Path) -> None:
    assert CHECKS[name](folder / name) == ""
    assert CHECKS[name](folder_without_repository / name) == ""


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("ci/Dockerfile", "COPY db db", "ADD db db", "DL3020"),
        ("ci/Dockerfile", 'CMD ["app"]', "CMD app", "DL3025"),
        ("ci/Dockerfile", "--requirement uv.txt", "uv", "DL3013"),
        ("ci/Dockerfile", "WORKDIR /app", "WORKDIR app", "DL3000"),
        ("ci/cloud-build.yaml", "substitutions:", "substitution:", "'substitution' was unexpected"),
        ("ci/cloud-build.yaml", "    args:", "    arg:", "$.steps[0]"),
        ("ci/cloud-build.yaml", "CLOUD_LOGGING_ONLY", "CLOUD_ONLY", "$.options.logging"),
        ("ci/cloud-build.yaml", "3600s", "20 minutes", "$.timeout"),
        (
            "ci/cloud-run.yaml",
            "failureThreshold: 40",
            "failureTreshold: 40",
            "$.spec.template.spec.containers[0].startupProbe",
        ),
        (
            "ci/cloud-run.yaml",
            "${CONCURRENCY}",
            '"${CONCURRENCY}"',
            "$.spec.template.spec.containerConcurrency",
        ),
        ("ci/cloud-run.yaml", "startup-cpu-boost", "startup-boost", "startup-boost is not"),
        ("ci/cloud-run.yaml", "cloudsql-instances", "ingress", "ingress is not an annotation of a"),
        ("ci/skaffold.yaml", "projectid:", "projectId:", "$.profiles[0].deploy.cloudrun"),
        ("ci/skaffold.yaml", "v4beta14", "v4beta99", "$.apiVersion"),
        ("docker-compose.yml", "healthcheck:", "healtcheck:", "$.services.database"),
        ("docker-compose.yml", "service_healthy", "service_well", "service_well"),
        ("flake.nix", "pkgs.uv\n          ];", "pkgs.uv\n          ;", "flake.nix:"),
        ("flake.nix", '"x86_64-linux"', '"x86_64-linux', "flake.nix:"),
    ],
)
def test_its_tool_catches(  # noqa: PLR0913, PLR0917
    name: str, old: str, new: str, complaint: str, folder: Path, tmp_path: Path
) -> None:
    text = (folder / name).read_text()
    assert old in text
    broken = tmp_path / name
    broken.parent.mkdir(exist_ok=True)
    broken.write_text(text.replace(old, new, 1))
    assert complaint in CHECKS[name](broken)


@pytest.mark.skipif(not shutil.which("nix-instantiate"), reason="Nix is not installed")
def test_nix_itself_catches_what_a_grammar_cannot(folder: Path, tmp_path: Path) -> None:
    text = (folder / "flake.nix").read_text()
    (tmp_path / "flake.nix").write_text(text.replace("pkgs.mkShell", "pkg.mkShell", 1))
    assert "undefined variable 'pkg'" in check_nix(tmp_path / "flake.nix")


def test_nothing_is_left_of_the_template(folder: Path) -> None:
    for name in DELIVERY:
        assert not re.search(r"\{\{|\{%|\{#", (folder / name).read_text()), name


def test_images_are_named_without_a_host_but_for_the_product_s_own(folder: Path) -> None:
    hosts = {
        host
        for name in DELIVERY
        for host in re.findall(r"([\w.${}-]+\.[a-z]+)/", (folder / name).read_text())
        if re.search(r"\.(io|dev|org)$", host) and not host.endswith("knative.dev")
    }
    assert hosts == {"${_REGION}-docker.pkg.dev", f"{REGION}-docker.pkg.dev"}


def test_one_port_everywhere(folder: Path) -> None:
    (container,) = rendered_manifest(folder)["spec"]["template"]["spec"]["containers"]
    image = stages(folder / "ci/Dockerfile")["image"]
    (published,) = load(folder / "docker-compose.yml")["services"]["app"]["ports"]
    assert {
        str(container["ports"][0]["containerPort"]),
        str(container["startupProbe"]["httpGet"]["port"]),
        str(container["livenessProbe"]["httpGet"]["port"]),
        *image.all("EXPOSE"),
        *re.findall(r"PORT=(\d+)", image.all("ENV")[0]),
        published.rsplit(":", 1)[1],
    } == {"8080"}
    assert container["startupProbe"]["httpGet"]["path"] == "/health"
    assert container["livenessProbe"]["httpGet"]["path"] == "/live"


def test_one_python_everywhere(folder: Path) -> None:
    pinned = (REPOSITORY / ".python-version").read_text().strip()
    assert stages(folder / "ci/Dockerfile")["base"].base == f"python:{pinned}-slim"
    flake = (folder / "flake.nix").read_text()
    assert set(re.findall(r"python3\d+", flake)) == {f"python{pinned.replace('.', '')}"}


def test_one_postgresql_everywhere(folder: Path) -> None:
    compose = load(folder / "docker-compose.yml")["services"]["database"]["image"]
    flake = (folder / "flake.nix").read_text()
    assert {
        *re.findall(r"postgres:(\d+)", compose),
        *re.findall(r"postgresql_(\d+)", flake),
        *(
            environment(folder, name)["database"]["version"].removeprefix("POSTGRES_")
            for name in ("dev", "stg", "prd")
        ),
    } == {"17"}


def test_builds_name_files_and_stages_that_exist(folder: Path) -> None:
    known = stages(folder / "ci/Dockerfile")
    for step in load(folder / "ci/cloud-build.yaml")["steps"]:
        if "build" not in step.get("args", []):
            continue
        options = dict(word.split("=", 1) for word in step["args"] if word.startswith("--"))
        assert (folder / options["--file"]).is_file()
        assert options.get("--target", "image") in known
    for service in load(folder / "docker-compose.yml")["services"].values():
        if "build" in service:
            assert (folder / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("slug", ["no", "off", "yes"])
def test_a_slug_that_yaml_would_read_as_something_else_stays_text(slug: str, baked: Bake) -> None:
    folder = baked(service=slug).folder
    assert environment(folder, "dev")["service"]["name"] == slug
    compose = load(folder / "docker-compose.yml")
    assert compose["name"] == slug
    name = f"${{DATABASE__NAME:-{slug}}}"
    assert compose["services"]["app"]["environment"]["DATABASE__NAME"] == name
    assert compose["services"]["database"]["environment"]["POSTGRES_DB"] == name
    assert load(folder / "ci/cloud-build.yaml")["substitutions"]["_SERVICE"] == slug
    assert load(folder / "ci/skaffold.yaml")["metadata"]["name"] == slug


@pytest.mark.parametrize("slug", ["null", "on", "true"])
def test_a_slug_that_yaml_and_postgresql_would_both_misread_is_refused(
    slug: str, cookies: Cookies
) -> None:
    result = cookies.bake(extra_context={"service": slug}, template=str(REPOSITORY))
    assert isinstance(result.exception, FailedHookException)
