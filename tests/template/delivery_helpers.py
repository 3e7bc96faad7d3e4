"""What judges the generated delivery files: public tools, Google's own API descriptions, and uv.

Every check answers with its tool's complaint, empty when there is none. None of them uses the
network, except `build`, which lets uv install.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import check_jsonschema  # type: ignore[import-untyped]
import tree_sitter_nix
import yaml
from click.testing import CliRunner
from tree_sitter import Language, Node, Parser

NAME = re.compile(r"\$\{(\w+)\}")

# One plausible value for each name that ci/cloud-run.yaml takes from outside.
DEPLOYMENT = {
    "SERVICE": "orders",
    "PROJECT": "acme-orders-dev",
    "ENVIRONMENT": "dev",
    "IMAGE": "asia-southeast2-docker.pkg.dev/acme-orders-dev/orders/orders@sha256:" + "0" * 64,
    "INGRESS": "all",
    "RUN_ACCOUNT": "orders-run@acme-orders-dev.iam.gserviceaccount.com",
    "CPU": "1",
    "MEMORY": "512Mi",
    "CONCURRENCY": "80",
    "TIMEOUT": "300",
    "MIN_INSTANCES": "0",
    "MAX_INSTANCES": "2",
    "DATABASE_INSTANCE": "acme-orders-dev:asia-southeast2:orders-dev",
    "DATABASE_NAME": "orders",
    "DATABASE_USER": "orders",
    "DATABASE_SECRET": "orders-db-password",
    "DATABASE_SECRET_VERSION": "3",
}


def _open(**properties: Any) -> dict[str, Any]:
    """An object with these properties and no others."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


# No package carries Skaffold's schema; these are the fields of v4beta14 that the file may use.
_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_ARTIFACT = _open(image=_TEXT, context=_TEXT, docker=_open(dockerfile=_TEXT, target=_TEXT))
_PATCH = _open(op={"enum": ["add", "remove", "replace"]}, path=_TEXT, value={})
_DEPLOY = _open(cloudrun=_open(projectid=_TEXT, region=_TEXT))
SKAFFOLD = {
    **_open(
        apiVersion={"const": "skaffold/v4beta14"},
        kind={"const": "Config"},
        metadata=_open(name=_TEXT),
        build=_open(
            artifacts={"type": "array", "items": _ARTIFACT},
            local=_open(push=_FLAG, useBuildkit=_FLAG),
        ),
        manifests=_open(rawYaml={"type": "array", "items": _TEXT}),
        deploy=_DEPLOY,
        profiles={
            "type": "array",
            "items": {
                **_open(name=_TEXT, patches={"type": "array", "items": _PATCH}, deploy=_DEPLOY),
                "required": ["name"],
            },
        },
    ),
    "required": ["apiVersion", "kind", "build", "manifests", "profiles"],
}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def substitute(text: str, values: Mapping[str, str]) -> str:
    """The text with each ${NAME} replaced; a KeyError names one that has no value."""
    return NAME.sub(lambda match: values[match[1]], text)


def rendered_manifest(baked: Path) -> Any:
    return yaml.safe_load(substitute((baked / "ci/cloud-run.yaml").read_text(), DEPLOYMENT))


def _discovery(api: str) -> dict[str, Any]:
    documents = files("googleapiclient") / "discovery_cache/documents"
    description: dict[str, Any] = json.loads((documents / f"{api}.json").read_text())
    return description


@cache
def google_schema(api: str, message: str) -> str:
    """Google's description of a message, as JSON Schema that refuses whatever it does not name."""

    def translate(source: Mapping[str, Any]) -> dict[str, Any]:
        if "$ref" in source:
            return {"$ref": f"#/definitions/{source['$ref']}"}
        result: dict[str, Any] = {key: source[key] for key in ("type", "enum") if key in source}
        if source.get("type") == "any":
            return {}
        if source.get("format") in {"int64", "uint64"}:
            result["type"] = ["integer", "string"]
        if source.get("format") == "google-duration":
            result["pattern"] = r"^\d+(\.\d{1,9})?s$"
        if "items" in source:
            result["items"] = translate(source["items"])
        if "additionalProperties" in source:
            result["additionalProperties"] = translate(source["additionalProperties"])
        elif source.get("type") == "object":
            result["additionalProperties"] = False
            result["properties"] = {
                name: translate(value)
                for name, value in source.get("properties", {}).items()
                if not value.get("readOnly")
            }
        return result

    schemas = _discovery(api)["schemas"]
    definitions = {name: translate(schema) for name, schema in schemas.items()}
    return json.dumps({"$ref": f"#/definitions/{message}", "definitions": definitions})


def check_schema(path: Path, *, builtin: str = "", schema: str = "") -> str:
    """What check-jsonschema finds in the file. A schema that it would have to fetch is an error."""
    nowhere = "http://127.0.0.1:9"
    arguments = ["--builtin-schema", builtin] if builtin else ["--schemafile", "-"]
    done = CliRunner(env={"http_proxy": nowhere, "https_proxy": nowhere}).invoke(
        check_jsonschema.main, [*arguments, str(path)], input=schema
    )
    return "" if done.exit_code == 0 else done.output


def check_annotations(manifest: Mapping[str, Any]) -> str:
    """Which annotations Cloud Run does not take on a Service, or on its revisions."""
    description = _discovery("run.v1")["schemas"]["ObjectMeta"]["properties"]["annotations"]
    levels = dict(re.findall(r"`([\w./-]+)`: ([\w, ]+)", description["description"]))
    placed = {
        "Service": manifest["metadata"]["annotations"],
        "Revision": manifest["spec"]["template"]["metadata"]["annotations"],
    }
    return "\n".join(
        f"{annotation} is not an annotation of a {kind}"
        for kind, annotations in placed.items()
        for annotation in annotations
        if kind not in levels.get(annotation, "")
    )


def check_dockerfile(path: Path) -> str:
    done = subprocess.run(
        ["hadolint", "--no-color", path], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def check_build(path: Path) -> str:
    return check_schema(path, builtin="vendor.cloudbuild") + check_schema(
        path, schema=google_schema("cloudbuild.v1", "Build")
    )


def check_manifest(path: Path) -> str:
    with TemporaryDirectory() as folder:
        rendered = Path(folder) / path.name
        rendered.write_text(substitute(path.read_text(), DEPLOYMENT))
        shape = check_schema(rendered, schema=google_schema("run.v1", "Service"))
        return shape or check_annotations(load(rendered))


def check_compose(path: Path) -> str:
    return check_schema(path, builtin="vendor.compose-spec")


def check_skaffold(path: Path) -> str:
    return check_schema(path, schema=json.dumps(SKAFFOLD))


def check_nix(path: Path) -> str:
    def broken(node: Node) -> Iterator[Node]:
        if node.is_error or node.is_missing:
            yield node
        for child in node.children:
            yield from broken(child)

    tree = Parser(Language(tree_sitter_nix.language())).parse(path.read_bytes())
    found = "\n".join(
        f"{path.name}:{node.start_point.row + 1}: {'MISSING' if node.is_missing else 'ERROR'}"
        for node in broken(tree.root_node)
    )
    if shutil.which("nix-instantiate"):
        done = subprocess.run(
            ["nix-instantiate", "--parse", path], capture_output=True, text=True, check=False
        )
        found += done.stderr if done.returncode else ""
    return found


CHECKS: dict[str, Callable[[Path], str]] = {
    "ci/Dockerfile": check_dockerfile,
    "ci/cloud-build.yaml": check_build,
    "ci/cloud-run.yaml": check_manifest,
    "ci/skaffold.yaml": check_skaffold,
    "docker-compose.yml": check_compose,
    "flake.nix": check_nix,
}


def left_out(rules: str, paths: Iterable[str]) -> set[str]:
    """Those of the paths that gitignore rules leave out, as git itself reads them."""
    with TemporaryDirectory() as folder:
        quiet = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        subprocess.run(["git", "init", "--quiet", folder], check=True, env=quiet)
        (Path(folder) / ".gitignore").write_text(rules)
        done = subprocess.run(
            ["git", "-C", folder, "check-ignore", "--no-index", "--stdin"],
            input="\n".join(paths),
            capture_output=True,
            text=True,
            check=False,
            env=quiet,
        )
    assert done.returncode in {0, 1}, done.stderr
    return set(done.stdout.splitlines())


def gitignore_rules(baked: Path) -> str:
    return (baked / ".gitignore").read_text()


def gcloudignore_rules(baked: Path) -> str:
    """The rules of .gcloudignore, with the file that it includes in its place."""
    rules = (baked / ".gcloudignore").read_text()
    return rules.replace("#!include:.gitignore", gitignore_rules(baked))


def dockerignore_rules(baked: Path) -> str:
    """The rules of .dockerignore for git: Docker's start at the context's root, git's anywhere."""

    def anchored(rule: str) -> str:
        if not rule or rule.startswith(("#", "**/")):
            return rule
        return f"!/{rule[1:]}" if rule.startswith("!") else f"/{rule}"

    return "\n".join(map(anchored, (baked / ".dockerignore").read_text().splitlines()))


@dataclass(frozen=True)
class Stage:
    """A stage of a Dockerfile: what it starts from and its instructions, in order."""

    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [argument for instruction, argument in self.instructions if instruction == name]


def stages(dockerfile: Path) -> dict[str, Stage]:
    """The stages by name; the last one, which needs none, is called `image`."""
    result: dict[str, Stage] = {}
    code = "\n".join(
        line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")
    )
    for line in code.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        instruction, argument = line.split(maxsplit=1)
        if instruction == "FROM":
            base, *alias = argument.split(" AS ")
            current = result[alias[0] if alias else "image"] = Stage(base)
        else:
            current.instructions.append((instruction, argument))
    return result


def uv_environment() -> dict[str, str]:
    """Variables with which `uv` is the one that runs the tests, and knows no other project."""
    outer = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}
    env = {key: value for key, value in os.environ.items() if key not in outer}
    uv = Path(os.environ.get("UV") or shutil.which("uv") or "uv")
    return env | {"PATH": f"{uv.parent}{os.pathsep}{env['PATH']}", "UV_PYTHON": sys.executable}


def build(service: Path, dockerfile: Path, target: str, image: Path) -> None:
    """Do what the Dockerfile's stages up to the target do to /app, in the folder `image`.

    Only uv's commands are run, by the uv that is here, from what .dockerignore lets in.

    Raises:
        subprocess.CalledProcessError: a command failed; its output is with it.
    """
    present = {str(path.relative_to(service)) for path in service.rglob("*") if path.is_file()}
    context = image.with_name(f"{image.name}-context")
    for file in present - left_out(dockerignore_rules(service), present):
        (context / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(service / file, context / file)

    chain: list[Stage] = []
    known = stages(dockerfile)
    while target in known:
        chain.insert(0, known[target])
        target = chain[0].base

    env = uv_environment()
    image.mkdir(exist_ok=True)
    for instruction, argument in (step for stage in chain for step in stage.instructions):
        words = shlex.split(argument)
        if instruction == "ENV":
            env |= dict(word.split("=", 1) for word in words)
        elif instruction == "COPY":
            *sources, destination = words
            _copy(context, sources, image / destination)
        elif instruction == "RUN" and re.search(r"(^|\s)uv ", argument):
            _run(argument, context, image, env)


def _copy(context: Path, sources: Iterable[str], destination: Path) -> None:
    for source in sources:
        found = sorted(context.glob(source))
        assert found or "*" in source, f"COPY {source}: not in the context"
        for path in found:
            if path.is_dir():
                shutil.copytree(path, destination, dirs_exist_ok=True)
            else:
                shutil.copy(path, destination)


def _run(argument: str, context: Path, image: Path, env: Mapping[str, str]) -> None:
    mounts = [mount[1] for mount in re.finditer(r"--mount=(\S+)", argument)]
    bound = [
        dict(part.split("=") for part in mount.split(","))
        for mount in mounts
        if "type=bind" in mount
    ]
    for mount in bound:
        shutil.copy(context / mount["source"], image / mount["target"])
    command = re.sub(r"--mount=\S+", "", argument).strip()
    subprocess.run(
        ["sh", "-euc", command], cwd=image, env=env, check=True, capture_output=True, text=True
    )
    for mount in bound:
        (image / mount["target"]).unlink()
