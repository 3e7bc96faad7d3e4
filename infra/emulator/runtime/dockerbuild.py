"""`docker build` without Docker: a Dockerfile followed into a folder of the image store.

COPY copies, honouring .dockerignore; RUN understands uv, which really installs what the lock
says, and passes over what only a container needs (pip install uv, useradd). Anything else fails
the build by name: there is no container to run it in. The virtual environment is made where the
image finally has it, because it cannot be moved.
"""

import hashlib
import re
import shlex
import shutil
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.emulator.runtime import bytecode
from infra.emulator.runtime.context import Context
from infra.emulator.runtime.dockerfile import (
    Config,
    Dockerfile,
    DockerfileError,
    Instruction,
    Stage,
    argument,
    configure,
    expand,
    parse,
    within,
)
from infra.emulator.runtime.images import COMPLETE, Image, Images, make_image
from infra.emulator.runtime.tools import NoUvError, find_uv, uv_environment

type Say = Callable[[str], None]
# Runs a program in a folder with an environment to its end: its exit status.
type Run = Callable[[list[str], Path, Mapping[str, str]], int]

FORMAT = "1"
CONTENT = ("WORKDIR", "ENV", "COPY", "RUN")
UNREADABLE = ("ADD", "SHELL", "ONBUILD", "VOLUME")
# An image whose only use is to bring uv.
UV_IMAGE = "/astral-sh/uv"
VENV = ".venv"


class BuildError(Exception):
    """The image cannot be built; the text is for the build's log."""


@dataclass(frozen=True)
class BuildRequest:
    """The arguments of `docker build`."""

    context: Path
    file: str = "Dockerfile"
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Step:
    """An instruction where it is reached: the configuration before it, and its variables."""

    instruction: Instruction
    config: Config
    arguments: Mapping[str, str]

    @property
    def variables(self) -> dict[str, str]:
        return {**self.arguments, **self.config.environment}

    @property
    def text(self) -> str:
        """The instruction as it is after expansion; a shell expands RUN's."""
        written = self.instruction.text
        return written if self.instruction.word == "RUN" else expand(written, self.variables)


class ImageBuilder:
    """Builds images into the store; the same content is built once, whoever asks."""

    def __init__(self, images: Images) -> None:
        self._images = images
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
        work = _Work(request, dockerfile, target, Context(request.context), say, run)
        layer = work.digest()
        root = self._images.folder / layer
        with self._locks[layer]:
            if (root / COMPLETE).is_file():
                say(f"Using cache: {layer}")
            else:
                shutil.rmtree(root, ignore_errors=True)
                try:
                    work.carry_out(root, self._images.folder / ".bytecode")
                except BaseException:
                    shutil.rmtree(root, ignore_errors=True)
                    raise
                (root / COMPLETE).touch()
        config = work.config()
        return make_image(layer, replace(config, labels={**config.labels, **request.labels}))


@dataclass
class _Work:
    """One build: the request, and what was read for it."""

    request: BuildRequest
    dockerfile: Dockerfile
    target: Stage
    context: Context
    say: Say
    run: Run
    # The folder of the image, and of each stage.
    root: Path = field(default_factory=Path)
    roots: dict[str, Path] = field(default_factory=dict)

    def config(self) -> Config:
        """The configuration of the image."""
        *_, end = self._steps(self.target)
        return end.config

    def digest(self) -> str:
        """A name for the content: of what is copied, run, and set, and from what it begins."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        lines = [FORMAT, version, sys.platform, self.target.name]
        for stage in self._needed(self.target):
            lines.append(f"FROM {self.dockerfile.base(stage)}")
            steps = [step for step in self._steps(stage) if step.instruction.word in CONTENT]
            for step in steps:
                lines.append(f"{step.instruction.word} {step.instruction.flags} {step.text}")
                if step.instruction.word == "RUN":
                    lines.append(repr(sorted(step.arguments.items())))
                lines += [
                    f"{path} {self.context.digest(path)}"
                    for source in self._sources(step)
                    for path, _ in self.context.select(source)
                ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def carry_out(self, root: Path, kept: Path) -> None:
        """Builds every stage that is needed, the target's in `root` itself."""
        self.root = root
        building = root / ".stages"
        for stage in self._needed(self.target):
            own = root if stage is self.target else building / str(len(self.roots))
            self.roots[self._key(stage)] = own
            own.mkdir(parents=True, exist_ok=True)
            for step in self._steps(stage):
                self._carry_out(stage, step, kept)
        shutil.rmtree(building, ignore_errors=True)

    def _carry_out(self, stage: Stage, step: _Step, kept: Path) -> None:
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

    # Stages.

    def _key(self, stage: Stage) -> str:
        return stage.name or str(self.dockerfile.stages.index(stage))

    def _needed(self, stage: Stage) -> list[Stage]:
        """The stages to build, each after those it copies from."""
        needed: list[Stage] = []
        for part in self.dockerfile.chain(stage):
            for instruction in part.instructions:
                source = instruction.flag("from") if instruction.word == "COPY" else None
                if source and UV_IMAGE not in source:
                    needed += self._needed(self._stage(source, instruction))
        unique = {self._key(each): each for each in [*needed, stage]}
        return list(unique.values())

    def _stage(self, name: str, instruction: Instruction) -> Stage:
        try:
            return self.dockerfile.target(name)
        except DockerfileError:
            raise BuildError(
                f"line {instruction.line}: the emulator cannot copy from another image: {name}"
            ) from None

    def _steps(self, stage: Stage) -> Iterator[_Step]:
        """Every instruction of a stage and of those below it."""
        config = Config()
        for part in self.dockerfile.chain(stage):
            arguments: dict[str, str] = {}
            for instruction in part.instructions:
                if instruction.word == "ARG":
                    arguments |= argument(
                        instruction,
                        self.request.arguments,
                        {**self.dockerfile.arguments, **arguments},
                    )
                    continue
                step = _Step(instruction, config, dict(arguments))
                yield step
                config = configure(instruction, config, step.variables)
        # Once more, for whoever wants the configuration after the last.
        yield _Step(Instruction("END", "", 0), config, {})

    # COPY.

    def _sources(self, step: _Step) -> list[str]:
        """What an instruction takes from the context."""
        if step.instruction.word == "COPY" and step.instruction.flag("from") is None:
            return replace(step.instruction, text=step.text).items()[:-1]
        return [source for source, _ in self._mounts(step)]

    def _copy(self, stage: Stage, step: _Step) -> None:
        *sources, target = replace(step.instruction, text=step.text).items()
        other = step.instruction.flag("from")
        if other and UV_IMAGE in other:
            return
        into = self._path(stage, within(step.config.folder, target))
        as_folder = target.endswith("/") or len(sources) > 1 or into.is_dir()
        for source in sources:
            if other:
                self._copy_stage(self._stage(other, step.instruction), source, into, as_folder)
                continue
            found = list(self.context.select(source))
            if not found and not re.search(r"[*?\[]", source):
                raise BuildError(
                    f'line {step.instruction.line}: failed to compute cache key: "/{source}": '
                    "not found (it may be excluded by .dockerignore)"
                )
            one_file = len(found) == 1 and found[0][0] == source.removeprefix("./")
            for path, below in found:
                place = into if one_file and not as_folder else into / below
                _copy_file(self.context.files[path], place)

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
        return self.roots[self._key(stage)] / path.lstrip("/")

    # RUN.

    def _run(self, stage: Stage, step: _Step, command: str, kept: Path) -> None:
        words = shlex.split(expand(command, step.variables))
        match words:
            case ["uv", "sync", *_]:
                self.say(f"RUN {command}")
                self._sync(stage, step, words, kept)
            case ["uv", "pip", "check", *_]:
                self.say(f"RUN {command}")
                self._call(stage, step, words)
            case ["pip" | "pip3", "install", *what] if _only_uv(what):
                self.say(f"RUN {command}: passed over, the emulator has its own uv")
            case [("useradd" | "groupadd" | "adduser" | "addgroup" | "usermod"), *_]:
                self.say(f"RUN {command}: passed over, there are no accounts without a container")
            case _:
                raise BuildError(
                    f"line {step.instruction.line}: the emulator has no container to run this in: "
                    f"{command}"
                )

    def _sync(self, stage: Stage, step: _Step, words: list[str], kept: Path) -> None:
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
        if stage is not self.target:
            for step in self._steps(self.target):
                instruction = step.instruction
                other = instruction.flag("from") if instruction.word == "COPY" else None
                if not other or self._stage(other, instruction) is not stage:
                    continue
                *sources, target = replace(instruction, text=step.text).items()
                into = within(step.config.folder, target)
                for source in (within("/", source) for source in sources):
                    if inside == source or inside.startswith(f"{source}/"):
                        return self.root / (into + inside.removeprefix(source)).lstrip("/")
        return self._path(stage, inside)

    def _call(self, stage: Stage, step: _Step, words: list[str], **more: str) -> None:
        folder = self._path(stage, step.config.folder)
        venv = self._venv(stage, within(step.config.folder, VENV))
        environment = uv_environment(self.dockerfile.base(stage), step.variables)
        environment |= {"UV_PROJECT_ENVIRONMENT": str(venv), **more}
        mounted = []
        for source, target in self._mounts(step):
            place = self._path(stage, within(step.config.folder, target))
            for path, _ in self.context.select(source):
                if not place.exists():
                    _copy_file(self.context.files[path], place)
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

    def _mounts(self, step: _Step) -> list[tuple[str, str]]:
        """The context's files that a RUN sees for its time: each with its path in the image."""
        mounts = []
        for name, value in step.instruction.flags:
            options = dict(part.partition("=")[::2] for part in value.split(","))
            if name == "mount" and options.get("type", "bind") == "bind" and "from" not in options:
                target = options.get("target") or options.get("dst") or options.get("destination")
                mounts.append((options.get("source", options.get("src", ".")), target or "."))
        return mounts


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


def _only_uv(what: list[str]) -> bool:
    names = [word for word in what if not word.startswith("-")]
    return bool(names) and all(re.fullmatch(r"uv([=<>~!].*)?", name) for name in names)


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _links(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == VENV and Path(folder, name).is_symlink()]
