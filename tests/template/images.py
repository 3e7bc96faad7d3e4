"""What a Dockerfile says, stage by stage, and a build of it with uv where there is no Docker.

Only `build` uses the network: it lets uv install.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.template.ignores import dockerignore_rules, left_out


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
