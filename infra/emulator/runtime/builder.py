"""The steps of a build, in its workspace: Docker's by `dockerbuild`, others as processes here.

Knows nothing of Cloud Build's API: what to run comes in, lines and exit statuses go out.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.emulator.runtime.dockerbuild import ImageBuilder, Say
from infra.emulator.runtime.dockerplan import BuildError, BuildRequest
from infra.emulator.runtime.images import Image, Images, Reference
from infra.emulator.runtime.tools import furnish, machine_environment, uv_cache

# The programs a step may run here; for any other there would have to be its container.
PROGRAMS = ("bash", "sh", "python", "python3", "uv")
DOCKER = re.compile(r"(^|/)(docker|cloud-builders/docker)$")
VALUED = {
    "--file": "file",
    "-f": "file",
    "--tag": "tag",
    "-t": "tag",
    "--target": "target",
    "--build-arg": "argument",
    "--label": "label",
    "--cache-from": "",
    "--cache-to": "",
    "--network": "",
    "--platform": "",
    "--progress": "",
}
PLAIN = ("--no-cache", "--pull", "--quiet", "-q", "--rm", "--load")

# Runs a program in a folder with an environment, its lines going to `Say`: its exit status.
type Run = Callable[[Sequence[str], Path, Mapping[str, str], Say], int]
# Puts an image into the registry, as the build's account.
type Push = Callable[[Reference, Image], None]


@dataclass(frozen=True)
class Step:
    """What a build step runs, everything substituted."""

    name: str
    entrypoint: str = ""
    arguments: tuple[str, ...] = ()
    folder: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    script: str = ""


class Builder:
    """One build: its workspace, and the images it has made so far, by tag."""

    def __init__(self, workspace: Path, images: Images, builder: ImageBuilder, run: Run):
        self.workspace = workspace
        self.made: dict[str, Image] = {}
        self._images = images
        self._builder = builder
        self._run = run

    def run(self, step: Step, say: Say, push: Push) -> int:
        """Returns the step's exit status; what it prints, and why it cannot run, is said."""
        folder = (self.workspace / step.folder.lstrip("/")).resolve()
        if not folder.is_relative_to(self.workspace.resolve()):
            folder = self.workspace
        folder.mkdir(parents=True, exist_ok=True)
        image = step.name.partition("@")[0]
        head, slash, last = image.rpartition("/")
        image = head + slash + last.partition(":")[0]
        try:
            if step.script:
                return self._program(step, ("bash", "-c", step.script), folder, say)
            if step.entrypoint == "docker" or (not step.entrypoint and DOCKER.search(image)):
                self._docker(list(step.arguments), folder, say, push)
                return 0
            program = step.entrypoint or last.partition(":")[0]
            return self._program(step, (program, *step.arguments), folder, say)
        except BuildError as error:
            say(f"ERROR: {error}")
            return 1

    def _program(self, step: Step, command: Sequence[str], folder: Path, say: Say) -> int:
        if os.path.basename(command[0]) not in PROGRAMS:
            raise BuildError(
                f"the emulator has no container of {step.name} to run {command[0]!r} in: it runs "
                f"docker, {', '.join(PROGRAMS)}"
            )
        home = self.workspace.parent / "home"
        home.mkdir(exist_ok=True)
        furnish(home)
        ours = {**machine_environment(), "HOME": str(home), "UV_CACHE_DIR": str(uv_cache())}
        return self._run(command, folder, {**ours, **step.environment}, say)

    def _docker(self, words: list[str], folder: Path, say: Say, push: Push) -> None:
        match words:
            case ["build", *options] | ["buildx", "build", *options]:
                self._docker_build(options, folder, say)
            case ["push", reference]:
                push(Reference.parse(reference), self.image(reference))
                say(f"pushed {reference}")
            case ["tag", old, new]:
                self.made[new] = self.image(old)
            case ["pull", reference]:
                if (found := self._images.find(reference)) is None:
                    raise BuildError(f"manifest for {reference} not found: manifest unknown")
                self.made[reference] = found
            case _:
                raise BuildError(f"the emulator cannot do docker {' '.join(words[:1])}")

    def image(self, reference: str) -> Image:
        """An image this build has made. Raises BuildError."""
        if reference not in self.made:
            raise BuildError(
                f"An image does not exist locally with the tag: {reference.partition(':')[0]}"
            )
        return self.made[reference]

    def _docker_build(self, options: list[str], folder: Path, say: Say) -> None:
        found: dict[str, list[str]] = {}
        contexts = []
        rest = iter(options)
        for option in rest:
            name, equals, value = option.partition("=")
            if name in VALUED:
                found.setdefault(VALUED[name], []).append(value if equals else next(rest, ""))
            elif option.startswith("-") and option not in PLAIN:
                raise BuildError(f"the emulator's docker build has no {option}")
            elif not option.startswith("-"):
                contexts.append(option)
        if len(contexts) != 1:
            raise BuildError("docker build requires exactly 1 argument: the context")
        pairs = {
            kind: dict(text.partition("=")[::2] for text in found.get(kind, ()))
            for kind in ("argument", "label")
        }
        context = folder / contexts[0]
        file = found.get("file", ["Dockerfile"])[-1]
        # Docker takes --file from where it is called, and the default from the context.
        where = os.path.relpath(folder / file, context) if "file" in found else file
        request = BuildRequest(
            context, where, found.get("target", [None])[-1], pairs["argument"], pairs["label"]
        )

        def run(command: list[str], place: Path, environment: Mapping[str, str]) -> int:
            return self._run(command, place, environment, say)

        image = self._builder.build(request, say, run)
        for tag in found.get("tag", ()):
            self.made[tag] = image
            say(f"Successfully tagged {tag}")
