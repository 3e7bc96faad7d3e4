"""What judges the generated delivery files: public tools, and Google's own API descriptions.

Every check answers with its tool's complaint, empty when there is none. None uses the network.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
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

from tests.template.manifests import DEPLOYMENT, substitute


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
        return shape or check_annotations(yaml.safe_load(rendered.read_text()))


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
    "ci/cloud-build-checks.yaml": check_build,
    "ci/cloud-build.yaml": check_build,
    "ci/cloud-run.yaml": check_manifest,
    "ci/skaffold.yaml": check_skaffold,
    "docker-compose.yml": check_compose,
    "flake.nix": check_nix,
}
