"""`docker build` without Docker: a Dockerfile followed into a folder of the image store.

COPY copies, honouring .dockerignore; RUN understands uv, which really installs what the lock
says, and passes over what only a container needs (pip install uv, useradd). Anything else fails
the build by name: there is no container to run it in. The virtual environment is made where the
image finally has it, because it cannot be moved. What there is to do, dockerplan says.
"""

import re
import shlex
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.emulator.runtime import bytecode
from infra.emulator.runtime.context import Context
from infra.emulator.runtime.dockerfile import (
    DockerfileError,
    Instruction,
    Stage,
    expand,
    parse,
    within,
)
from infra.emulator.runtime.dockerplan import UV_IMAGE, BuildError, BuildRequest, Plan, Step
from infra.emulator.runtime.images import COMPLETE, Image, Images, make_image
from infra.emulator.runtime.tools import NoUvError, find_uv, uv_environment

type Say = Callable[[str], None]
# Runs a program in a folder with an environment to its end: its exit status.
type Run = Callable[[list[str], Path, Mapping[str, str]], int]

UNREADABLE = ("ADD", "SHELL", "ONBUILD", "VOLUME")
VENV = ".venv"


class ImageBuilder:
    """Builds images into the store; the same content is built once, whoever asks.

    `bytecode` is the folder that keeps compiled Python from one image to the next.
    """

    def __init__(self, images: Images, bytecode: Path) -> None:
        self._images = images
        self._bytecode = bytecode
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def build(self, request: BuildRequest, say: Say, run: Run) -> Image:
        """Returns the image. Raises BuildError, and then leaves no half of one."""
        try:
            return self._build(request, say, run)
        except (DockerfileError, NoUvError) as error:
            raise BuildError(str(error)) from error

    def _build(self, request: BuildRequest, say: Say, run: Run) -> Image:
        file = request.context / request.file
        if not file.is_file():
            raise BuildError(f"failed to read dockerfile: {request.file}: no such file")
        dockerfile = parse(file.read_text("utf-8"), request.arguments)
        target = dockerfile.target(request.target)
        plan = Plan(request, dockerfile, target, Context(request.context))
        layer = plan.digest()
        root = self._images.folder / layer
        with self._locks[layer]:
            if (root / COMPLETE).is_file():
                say(f"Using cache: {layer}")
            else:
                shutil.rmtree(root, ignore_errors=True)
                try:
                    _Work(plan, say, run).carry_out(root, self._bytecode)
                except BaseException:
                    shutil.rmtree(root, ignore_errors=True)
                    raise
                (root / COMPLETE).touch()
        config = plan.config()
        return make_image(layer, replace(config, labels={**config.labels, **request.labels}))


@dataclass
class _Work:
    """One build: a plan, carried out."""

    plan: Plan
    say: Say
    run: Run
    # The folder of the image, and of each stage.
    root: Path = field(default_factory=Path)
    roots: dict[str, Path] = field(default_factory=dict)

    def carry_out(self, root: Path, kept: Path) -> None:
        """Builds every stage that is needed, the target's in `root` itself."""
        self.root = root
        building = root / ".stages"
        for stage in self.plan.needed(self.plan.target):
            own = root if stage is self.plan.target else building / str(len(self.roots))
            self.roots[self.plan.key(stage)] = own
            own.mkdir(parents=True, exist_ok=True)
            for step in self.plan.steps(stage):
                self._carry_out(stage, step, kept)
        shutil.rmtree(building, ignore_errors=True)

    def _carry_out(self, stage: Stage, step: Step, kept: Path) -> None:
        word = step.instruction.word
        if word in UNREADABLE:
            raise BuildError(
                f"line {step.instruction.line}: the emulator cannot do {word}: {step.text}"
            )
        if word == "WORKDIR":
            folder = within(step.config.folder, step.text.strip())
            self._path(stage, folder).mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            self.say(f"COPY {step.text}")
            self._copy(stage, step)
        elif word == "RUN":
            for command in _commands(step.instruction):
                self._run(stage, step, command, kept)

    # COPY.

    def _copy(self, stage: Stage, step: Step) -> None:
        *sources, target = replace(step.instruction, text=step.text).items()
        other = step.instruction.flag("from")
        if other and UV_IMAGE in other:
            return
        into = self._path(stage, within(step.config.folder, target))
        as_folder = target.endswith("/") or len(sources) > 1 or into.is_dir()
        for source in sources:
            if other:
                self._copy_stage(self.plan.stage(other, step.instruction), source, into, as_folder)
                continue
            found = list(self.plan.context.select(source))
            if not found and not re.search(r"[*?\[]", source):
                raise BuildError(
                    f'line {step.instruction.line}: failed to compute cache key: "/{source}": '
                    "not found (it may be excluded by .dockerignore)"
                )
            one_file = len(found) == 1 and found[0][0] == source.removeprefix("./")
            for path, below in found:
                place = into if one_file and not as_folder else into / below
                _copy_file(self.plan.context.files[path], place)

    def _copy_stage(self, other: Stage, source: str, into: Path, as_folder: bool) -> None:
        path = self._path(other, within("/", source))
        if path.is_symlink():
            # A virtual environment, which is in its last place already.
            return
        if path.is_dir():
            shutil.copytree(path, into, symlinks=True, dirs_exist_ok=True, ignore=_links)
        elif path.is_file():
            _copy_file(path, into / path.name if as_folder else into)
        else:
            raise BuildError(f"COPY --from={other.name}: {source}: not found")

    def _path(self, stage: Stage, path: str) -> Path:
        return self.roots[self.plan.key(stage)] / path.lstrip("/")

    # RUN.

    def _run(self, stage: Stage, step: Step, command: str, kept: Path) -> None:
        words = shlex.split(expand(command, step.variables))
        match words:
            case ["uv", "sync", *_]:
                self.say(f"RUN {command}")
                self._sync(stage, step, words, kept)
            case ["uv", "pip", "check", *_] | ["uv", "export", *_]:
                self.say(f"RUN {command}")
                self._call(stage, step, words)
            case ["pip" | "pip3", "install", *what] if self._only_uv(step, what):
                self.say(f"RUN {command}: passed over, the emulator has its own uv")
            case [("useradd" | "groupadd" | "adduser" | "addgroup" | "usermod"), *_]:
                self.say(f"RUN {command}: passed over, there are no accounts without a container")
            case _:
                raise BuildError(
                    f"line {step.instruction.line}: the emulator has no container to run this in: "
                    f"{command}"
                )

    def _only_uv(self, step: Step, what: list[str]) -> bool:
        """Whether nothing but uv is asked of pip, be it in a file of the context."""
        names: list[str] = []
        files = {target: source for source, target in self.plan.mounts(step)}
        for word in (word for word in what if not word.startswith("-")):
            listed = self.plan.context.files.get(files.get(word, ""))
            lines = listed.read_text("utf-8").splitlines() if listed else [word]
            names += [line.split()[0] for line in lines if re.match(r"\w", line)]
        return bool(names) and all(re.fullmatch(r"uv([=<>~!].*)?", name) for name in names)

    def _sync(self, stage: Stage, step: Step, words: list[str], kept: Path) -> None:
        inside = within(step.config.folder, VENV)
        venv = self._venv(stage, inside)
        here = self._path(stage, inside)
        if venv != here and not here.is_symlink():
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(venv)
        compiles = "--compile-bytecode" in words or step.variables.get("UV_COMPILE_BYTECODE")
        if compiles:
            # Installed first, then compiled, in between what is compiled already is put there.
            plain = [word for word in words if word != "--compile-bytecode"]
            self._call(stage, step, plain, UV_COMPILE_BYTECODE="0")
            bytecode.restore(venv, kept)
        self._call(stage, step, words)
        if compiles:
            bytecode.keep(venv, kept)

    def _venv(self, stage: Stage, inside: str) -> Path:
        """Where a stage's virtual environment really goes: its place in the image, if it has one.

        `inside` is its path in the stage.
        """
        if stage is not self.plan.target:
            for step in self.plan.steps(self.plan.target):
                instruction = step.instruction
                other = instruction.flag("from") if instruction.word == "COPY" else None
                if not other or self.plan.stage(other, instruction) is not stage:
                    continue
                *sources, target = replace(instruction, text=step.text).items()
                into = within(step.config.folder, target)
                for source in (within("/", source) for source in sources):
                    if inside == source or inside.startswith(f"{source}/"):
                        return self.root / (into + inside.removeprefix(source)).lstrip("/")
        return self._path(stage, inside)

    def _call(self, stage: Stage, step: Step, words: list[str], **more: str) -> None:
        folder = self._path(stage, step.config.folder)
        venv = self._venv(stage, within(step.config.folder, VENV))
        environment = uv_environment(self.plan.dockerfile.base(stage), step.variables)
        environment |= {"UV_PROJECT_ENVIRONMENT": str(venv), **more}
        mounted = []
        for source, target in self.plan.mounts(step):
            place = self._path(stage, within(step.config.folder, target))
            for path, _ in self.plan.context.select(source):
                if not place.exists():
                    _copy_file(self.plan.context.files[path], place)
                    mounted.append(place)
        try:
            status = self.run([find_uv(), *words[1:]], folder, environment)
        finally:
            for place in mounted:
                place.unlink(missing_ok=True)
        if status != 0:
            raise BuildError(
                f'process "/bin/sh -c {shlex.join(words)}" did not complete successfully: '
                f"exit code: {status}"
            )


def _commands(instruction: Instruction) -> list[str]:
    """What a RUN does, one after the other."""
    if instruction.text.startswith("["):
        return [shlex.join(instruction.items())]
    commands = [re.sub(r"\s+", " ", part).strip() for part in instruction.text.split("&&")]
    for command in commands:
        if re.search(r"[;|<>`]|\$\(|^set ", command):
            raise BuildError(
                f"line {instruction.line}: the emulator has no container to run this in: {command}"
            )
    return commands


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _links(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == VENV and Path(folder, name).is_symlink()]
