"""The files that build and deploy a generated service: their tools take them, and they agree."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, StrictUndefined

from tests.template.delivery_helpers import (
    CHECKS,
    DEPLOYMENT,
    NAME,
    Stage,
    build,
    check_nix,
    dockerignore_rules,
    gcloudignore_rules,
    gitignore_rules,
    left_out,
    load,
    rendered_manifest,
    stages,
    uv_environment,
)

TEMPLATE = Path(__file__).parents[2] / "{{cookiecutter.service}}"
DELIVERY = [
    *CHECKS,
    ".dockerignore",
    ".editorconfig",
    ".gcloudignore",
    ".gitattributes",
    ".gitignore",
    "environments/local.yaml",
    "environments/dev.yaml",
    "environments/stg.yaml",
    "environments/prd.yaml",
]
ANSWERS = {
    "service": "orders",
    "region": "asia-southeast2",
    "project_dev": "acme-orders-dev",
    "project_stg": "acme-orders-stg",
    "project_prd": "acme-orders-prd",
    "repository": "acme/orders",
    "__database": "orders",
}
# What the service's configuration uses where nothing else is said.
LOCAL_DATABASE = {
    "user": "postgres",
    "password": "local-password",
    "name": ANSWERS["__database"],
    "port": "5432",
}


def bake(destination: Path, **answers: str) -> Path:
    """The delivery files, rendered as cookiecutter renders them."""
    jinja = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701
    for name in DELIVERY:
        (destination / name).parent.mkdir(parents=True, exist_ok=True)
        text = jinja.from_string((TEMPLATE / name).read_text())
        (destination / name).write_text(text.render(cookiecutter=ANSWERS | answers))
    return destination


@pytest.fixture(scope="session")
def baked_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bake(tmp_path_factory.mktemp("baked") / "orders")


@pytest.fixture(scope="session")
def baked_without_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bake(tmp_path_factory.mktemp("baked") / "orders", repository="")


def environment(baked: Path, name: str) -> Any:
    return load(baked / f"environments/{name}.yaml")


# The tools agree


@pytest.mark.parametrize("name", CHECKS)
def test_its_tool_accepts(name: str, baked_files: Path, baked_without_repository: Path) -> None:
    assert CHECKS[name](baked_files / name) == ""
    assert CHECKS[name](baked_without_repository / name) == ""


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("ci/Dockerfile", "COPY db db", "ADD db db", "DL3020"),
        ("ci/Dockerfile", 'CMD ["app"]', "CMD app", "DL3025"),
        ("ci/Dockerfile", "uv==", "uv>=0 #", "DL3013"),
        ("ci/Dockerfile", "WORKDIR /app", "WORKDIR app", "DL3000"),
        ("ci/cloud-build.yaml", "substitutions:", "substitution:", "'substitution' was unexpected"),
        ("ci/cloud-build.yaml", "    args:", "    arg:", "$.steps[0]"),
        ("ci/cloud-build.yaml", "CLOUD_LOGGING_ONLY", "CLOUD_ONLY", "$.options.logging"),
        ("ci/cloud-build.yaml", "1200s", "20 minutes", "$.timeout"),
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
    name: str, old: str, new: str, complaint: str, baked_files: Path, tmp_path: Path
) -> None:
    text = (baked_files / name).read_text()
    assert old in text
    broken = tmp_path / name
    broken.parent.mkdir(exist_ok=True)
    broken.write_text(text.replace(old, new, 1))
    assert complaint in CHECKS[name](broken)


@pytest.mark.skipif(not shutil.which("nix-instantiate"), reason="Nix is not installed")
def test_nix_itself_catches_what_a_grammar_cannot(baked_files: Path, tmp_path: Path) -> None:
    text = (baked_files / "flake.nix").read_text()
    (tmp_path / "flake.nix").write_text(text.replace("pkgs.mkShell", "pkg.mkShell", 1))
    assert "undefined variable 'pkg'" in check_nix(tmp_path / "flake.nix")


def test_nothing_is_left_of_the_template(baked_files: Path) -> None:
    for name in DELIVERY:
        assert not re.search(r"\{\{|\{%|\{#", (baked_files / name).read_text()), name


def test_images_are_named_without_a_host_but_for_the_product_s_own(baked_files: Path) -> None:
    hosts = {
        host
        for name in DELIVERY
        for host in re.findall(r"([\w.${}-]+\.[a-z]+)/", (baked_files / name).read_text())
        if re.search(r"\.(io|dev|org)$", host) and not host.endswith("knative.dev")
    }
    assert hosts == {"${_REGION}-docker.pkg.dev", f"{ANSWERS['region']}-docker.pkg.dev"}


# The image


def test_the_image_runs_unprivileged_by_number(baked_files: Path) -> None:
    (user,) = stages(baked_files / "ci/Dockerfile")["image"].all("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)


def test_the_image_starts_the_server_itself(baked_files: Path) -> None:
    (command,) = stages(baked_files / "ci/Dockerfile")["image"].all("CMD")
    assert json.loads(command) == ["app"]


def test_the_image_holds_the_environment_and_the_migrations_but_no_build_tools(
    baked_files: Path,
) -> None:
    known = stages(baked_files / "ci/Dockerfile")
    image: Stage = known["image"]
    assert image.all("COPY") == ["--from=build /app/.venv .venv", "db db"]
    assert not re.search(r"\b(uv|pip|apt-get|gcc)\b", "\n".join(image.all("RUN")))
    assert image.base == known["dependencies"].base == "base"


def test_the_image_does_not_write_to_its_root(baked_files: Path) -> None:
    (settings,) = stages(baked_files / "ci/Dockerfile")["image"].all("ENV")
    assert "PYTHONDONTWRITEBYTECODE=1" in settings
    assert load(baked_files / "docker-compose.yml")["services"]["app"]["read_only"] is True


# A real run of the Dockerfile's uv commands


@pytest.fixture(params=["a folder", "a git repository"])
def service(request: pytest.FixtureRequest, baked_files: Path, tmp_path: Path) -> Path:
    """A small service whose engine, a development dependency, is gone since it was locked."""
    engine = tmp_path / "engine"
    write(
        engine / "pyproject.toml",
        """
        [project]
        name = "engine"
        version = "1.0"
        requires-python = ">=3.13"
        dependencies = ["iniconfig"]
        [build-system]
        requires = ["hatchling>=1.27"]
        build-backend = "hatchling.build"
        """,
    )
    write(engine / "engine/__init__.py", "")
    source = 'path = "../engine", editable = true'
    if request.param == "a git repository":
        source = f'git = "{engine.as_uri()}"'
        author = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=0"]
        for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "engine"]):
            subprocess.run(["git", *command], cwd=engine, check=True)

    folder = tmp_path / "orders"
    write(
        folder / "pyproject.toml",
        f"""
        [project]
        name = "orders"
        version = "0.1.0"
        readme = "README.md"
        requires-python = ">=3.13"
        dependencies = ["idna"]
        scripts.app = "src:server"
        [dependency-groups]
        dev = ["engine"]
        [tool.uv.sources]
        engine = {{ {source} }}
        [build-system]
        requires = ["hatchling>=1.27"]
        build-backend = "hatchling.build"
        [tool.hatch.build.targets.wheel]
        packages = ["src"]
        """,
    )
    write(
        folder / "src/__init__.py", "import idna\ndef server():\n    print(__file__, idna.__name__)"
    )
    write(folder / "README.md", "# orders")
    write(folder / "db/alembic.ini", "")
    write(folder / ".env", "DATABASE__PASSWORD=secret")
    write(folder / "src/.env", "DATABASE__PASSWORD=secret")
    shutil.copytree(baked_files, folder, dirs_exist_ok=True)
    lock = subprocess.run(
        ["uv", "lock"],
        cwd=folder,
        env=uv_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert lock.returncode == 0, lock.stderr
    shutil.rmtree(engine)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("\n        ", "\n"))


def test_the_image_is_built_without_the_engine_and_without_development_packages(
    service: Path, tmp_path: Path
) -> None:
    image = tmp_path / "app"
    build(service, service / "ci/Dockerfile", "build", image)
    (packages,) = (image / ".venv/lib").glob("python3*/site-packages")
    distributions = {path.name.split("-")[0] for path in packages.glob("*.dist-info")}
    assert distributions == {"idna", "orders"}
    assert list((packages / "src").rglob("__init__.*.pyc"))
    assert not list(image.rglob(".env"))

    shutil.rmtree(image / "src")
    app = subprocess.run([image / ".venv/bin/app"], capture_output=True, text=True, check=True)
    assert app.stdout.split() == [str(packages / "src/__init__.py"), "idna"]


@pytest.mark.parametrize("service", ["a folder"], indirect=True)
def test_a_validated_lock_would_need_the_engine(service: Path, tmp_path: Path) -> None:
    """Why the Dockerfile says --frozen; when uv can do without, it may say --locked."""
    dockerfile = service / "ci/Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("--frozen", "--locked"))
    with pytest.raises(subprocess.CalledProcessError) as failure:
        build(service, dockerfile, "dependencies", tmp_path / "app")
    assert "engine" in failure.value.stderr


@pytest.mark.parametrize("service", ["a folder"], indirect=True)
def test_a_dependency_that_is_not_locked_fails_the_build(service: Path, tmp_path: Path) -> None:
    project = service / "pyproject.toml"
    project.write_text(project.read_text().replace('["idna"]', '["idna", "iniconfig"]'))
    with pytest.raises(subprocess.CalledProcessError) as failure:
        build(service, service / "ci/Dockerfile", "build", tmp_path / "app")
    assert "iniconfig" in failure.value.stderr


def test_the_context_holds_what_is_copied(baked_files: Path) -> None:
    known = stages(baked_files / "ci/Dockerfile")
    copied = {
        word
        for stage in known.values()
        for argument in stage.all("COPY")
        if not argument.startswith("--from")
        for word in argument.split()[:-1]
    }
    assert copied
    assert not left_out(dockerignore_rules(baked_files), copied)


# The manifest


def test_every_name_in_the_manifest_is_documented(baked_files: Path) -> None:
    text = (baked_files / "ci/cloud-run.yaml").read_text()
    comment, manifest = text.split("apiVersion:", 1)
    documented = set(re.findall(r"^#   (\w+)  ", comment, re.MULTILINE))
    assert documented == set(NAME.findall(manifest)) == set(DEPLOYMENT)


def test_the_manifest_is_yaml_before_anything_is_filled_in(baked_files: Path) -> None:
    assert load(baked_files / "ci/cloud-run.yaml")["metadata"]["name"] == "${SERVICE}"


def test_the_password_is_a_version_of_a_secret_and_nothing_else_is(baked_files: Path) -> None:
    (container,) = rendered_manifest(baked_files)["spec"]["template"]["spec"]["containers"]
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
def test_the_probes_keep_cloud_run_s_limits(probe: str, baked_files: Path) -> None:
    (container,) = rendered_manifest(baked_files)["spec"]["template"]["spec"]["containers"]
    settings = container[probe]
    assert settings["timeoutSeconds"] <= settings["periodSeconds"]
    assert settings["periodSeconds"] * settings["failureThreshold"] <= 240


# The files agree with each other


def test_one_port_everywhere(baked_files: Path) -> None:
    (container,) = rendered_manifest(baked_files)["spec"]["template"]["spec"]["containers"]
    image = stages(baked_files / "ci/Dockerfile")["image"]
    (published,) = load(baked_files / "docker-compose.yml")["services"]["app"]["ports"]
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


def test_one_python_everywhere(baked_files: Path) -> None:
    pinned = (TEMPLATE.parent / ".python-version").read_text().strip()
    assert stages(baked_files / "ci/Dockerfile")["base"].base == f"python:{pinned}-slim"
    flake = (baked_files / "flake.nix").read_text()
    assert set(re.findall(r"python3\d+", flake)) == {f"python{pinned.replace('.', '')}"}


def test_one_postgresql_everywhere(baked_files: Path) -> None:
    compose = load(baked_files / "docker-compose.yml")["services"]["database"]["image"]
    flake = (baked_files / "flake.nix").read_text()
    assert {
        *re.findall(r"postgres:(\d+)", compose),
        *re.findall(r"postgresql_(\d+)", flake),
        *(
            environment(baked_files, name)["database"]["version"].removeprefix("POSTGRES_")
            for name in ("dev", "stg", "prd")
        ),
    } == {"17"}


def test_compose_offers_the_database_that_the_service_looks_for(baked_files: Path) -> None:
    services = load(baked_files / "docker-compose.yml")["services"]
    offered = services["database"]["environment"]
    assert offered == {
        "POSTGRES_USER": LOCAL_DATABASE["user"],
        "POSTGRES_PASSWORD": LOCAL_DATABASE["password"],
        "POSTGRES_DB": LOCAL_DATABASE["name"],
    }
    assert services["database"]["ports"] == ["127.0.0.1:${DATABASE__PORT:-5432}:5432"]
    for name in ("migrate", "app"):
        assert services[name]["environment"] == {
            "ENVIRONMENT": "local",
            "DATABASE__HOST": "database",
            "DATABASE__PORT": LOCAL_DATABASE["port"],
            "DATABASE__NAME": LOCAL_DATABASE["name"],
            "DATABASE__USER": LOCAL_DATABASE["user"],
            "DATABASE__PASSWORD": LOCAL_DATABASE["password"],
        }


def test_nothing_in_compose_listens_beyond_this_machine(baked_files: Path) -> None:
    services = load(baked_files / "docker-compose.yml")["services"]
    ports = [port for settings in services.values() for port in settings.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_starts_the_app_on_request_and_migrates_first(baked_files: Path) -> None:
    services = load(baked_files / "docker-compose.yml")["services"]
    assert "profiles" not in services["database"]
    assert services["app"]["profiles"] == services["migrate"]["profiles"] == ["app"]
    assert services["migrate"]["command"] == ["alembic", "-c", "db/alembic.ini", "upgrade", "head"]
    assert services["app"]["depends_on"]["migrate"] == {
        "condition": "service_completed_successfully"
    }


def test_the_build_pushes_what_it_tags_and_uses_every_substitution(baked_files: Path) -> None:
    text = (baked_files / "ci/cloud-build.yaml").read_text()
    config = yaml.safe_load(text)
    tagged = [
        argument.removeprefix("--tag=")
        for step in config["steps"]
        for argument in step["args"]
        if argument.startswith("--tag=")
    ]
    assert tagged == config["images"]
    own = set(re.findall(r"\$\{(_\w+)\}", text))
    assert own == set(config["substitutions"])


def test_builds_name_files_and_stages_that_exist(baked_files: Path) -> None:
    known = stages(baked_files / "ci/Dockerfile")
    for step in load(baked_files / "ci/cloud-build.yaml")["steps"]:
        options = dict(word.split("=", 1) for word in step["args"] if word.startswith("--"))
        assert (baked_files / options["--file"]).is_file()
        assert options.get("--target", "image") in known
    for service in load(baked_files / "docker-compose.yml")["services"].values():
        if "build" in service:
            assert (baked_files / service["build"]["dockerfile"]).is_file()


def test_skaffold_builds_this_image_and_deploys_what_render_writes(baked_files: Path) -> None:
    text = (baked_files / "ci/skaffold.yaml").read_text()
    config = yaml.safe_load(text)
    (artifact,) = config["build"]["artifacts"]
    assert (baked_files / artifact["docker"]["dockerfile"]).is_file()
    (manifest,) = config["manifests"]["rawYaml"]
    assert f"invoke render --env dev > {manifest}" in text
    assert left_out(gitignore_rules(baked_files), [manifest])


@pytest.mark.parametrize("name", ["dev", "stg", "prd"])
def test_skaffold_deploys_to_the_environment_s_project(name: str, baked_files: Path) -> None:
    profiles = load(baked_files / "ci/skaffold.yaml")["profiles"]
    (profile,) = [profile for profile in profiles if profile["name"] == name]
    declared = environment(baked_files, name)
    target = profile["deploy"]["cloudrun"]
    assert target == {"projectid": declared["project"], "region": declared["region"]}
    (patch,) = profile["patches"]
    host = f"{declared['region']}-docker.pkg.dev"
    assert patch["value"] == f"{host}/{declared['project']}/orders/orders"


# What stays on this machine

SECRETS = [
    ".env",
    ".env.local",
    ".local/postgres/PG_VERSION",
    ".venv/pyvenv.cfg",
    "config.json",
    "config.toml",
    "config.yaml",
    "src/.env",
]
SOURCES = [
    "LICENSE",
    "README.md",
    "db/alembic.ini",
    "db/versions/0001_item.py",
    "pyproject.toml",
    "src/__init__.py",
    "src/dependencies/config.py",
    "uv.lock",
]


def test_secrets_are_in_all_three_ignore_files(baked_files: Path) -> None:
    secrets = set(SECRETS)
    assert left_out(gitignore_rules(baked_files), secrets) == secrets
    assert left_out(gcloudignore_rules(baked_files), secrets) == secrets
    assert left_out(dockerignore_rules(baked_files), secrets) == secrets


def test_the_sources_are_in_none(baked_files: Path) -> None:
    committed = [*DELIVERY, ".env.example", ".python-version", "config.example.yaml"]
    uploaded = ["ci/Dockerfile", "ci/cloud-build.yaml", ".dockerignore"]
    assert not left_out(gitignore_rules(baked_files), [*SOURCES, *committed])
    assert not left_out(gcloudignore_rules(baked_files), [*SOURCES, *uploaded])
    assert not left_out(dockerignore_rules(baked_files), SOURCES)


def test_the_history_is_not_uploaded(baked_files: Path) -> None:
    assert ".git" in (baked_files / ".gcloudignore").read_text().splitlines()
    assert left_out(dockerignore_rules(baked_files), [".git/config"])


def test_an_ignore_file_that_forgets_a_secret_is_caught(baked_files: Path) -> None:
    rules = gcloudignore_rules(baked_files).replace("/config.toml", "")
    assert set(SECRETS) - left_out(rules, SECRETS) == {"config.toml"}


# The environments


def test_services_on_one_machine_share_the_local_project(baked_files: Path, tmp_path: Path) -> None:
    other = bake(tmp_path, service="invoices", __database="invoices")
    project = environment(baked_files, "local")["project"]
    assert project == environment(other, "local")["project"]
    assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", project)


@pytest.mark.parametrize("name", ["dev", "stg", "prd"])
def test_an_environment_is_the_answers_project(name: str, baked_files: Path) -> None:
    declared = environment(baked_files, name)
    assert declared["project"] == ANSWERS[f"project_{name}"]
    assert declared["region"] == ANSWERS["region"]
    assert declared["service"]["name"] == ANSWERS["service"]
    assert declared["service"]["invokers"] == []


def test_production_is_protected_and_the_rest_is_small(baked_files: Path) -> None:
    dev, stg, prd = (environment(baked_files, name) for name in ("dev", "stg", "prd"))
    assert prd["database"]["availability"] == "REGIONAL"
    assert prd["database"]["deletion_protection"] is True
    assert prd["database"]["backups"] is True
    assert prd["service"]["min_instances"] == 1
    for small in (dev, stg):
        assert small["service"]["min_instances"] == 0
        assert small["service"]["max_instances"] < prd["service"]["max_instances"]
        assert small["database"]["availability"] == "ZONAL"


def test_a_branch_builds_dev_and_stg_and_a_tag_builds_prd(baked_files: Path) -> None:
    for name, event in (("dev", "branch"), ("stg", "branch"), ("prd", "tag")):
        trigger = environment(baked_files, name)["trigger"]
        assert trigger.keys() == {"repository", "connection", event}
        assert trigger["repository"] == ANSWERS["repository"]
        re.compile(trigger[event])


def test_without_a_repository_there_is_nothing_to_trigger(baked_without_repository: Path) -> None:
    for name in ("local", "dev", "stg", "prd"):
        assert "trigger" not in environment(baked_without_repository, name)
    image = stages(baked_without_repository / "ci/Dockerfile")["image"]
    assert "image.source" not in image.all("LABEL")[0]


@pytest.mark.parametrize("slug", ["on", "no", "null", "true"])
def test_a_slug_that_yaml_would_read_as_something_else_stays_text(
    slug: str, tmp_path: Path
) -> None:
    baked = bake(tmp_path, service=slug, __database=slug)
    assert environment(baked, "dev")["service"]["name"] == slug
    compose = load(baked / "docker-compose.yml")
    assert compose["name"] == slug
    assert compose["services"]["app"]["environment"]["DATABASE__NAME"] == slug
    assert compose["services"]["database"]["environment"]["POSTGRES_DB"] == slug
    assert load(baked / "ci/cloud-build.yaml")["substitutions"]["_SERVICE"] == slug
    assert load(baked / "ci/skaffold.yaml")["metadata"]["name"] == slug
