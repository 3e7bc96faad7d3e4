"""A Dockerfile for one target and its arguments: what is to be done, and a name for the outcome.

Nothing is carried out here; only files of the context are read, for the name.
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

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
)

FORMAT = "1"
CONTENT = ("WORKDIR", "ENV", "COPY", "RUN")
# An image whose only use is to bring uv.
UV_IMAGE = "/astral-sh/uv"


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
class Step:
    """An instruction where it is reached: the configuration before it, and its variables."""

    instruction: Instruction
    config: Config
    arguments: Mapping[str, str]

    @property
    def variables(self) -> dict[str, str]:
        """What `$NAME` means there."""
        return {**self.arguments, **self.config.environment}

    @property
    def text(self) -> str:
        """The instruction as it is after expansion; a shell expands RUN's."""
        written = self.instruction.text
        return written if self.instruction.word == "RUN" else expand(written, self.variables)


@dataclass(frozen=True)
class Plan:
    """What was asked, and what the Dockerfile says about it."""

    request: BuildRequest
    dockerfile: Dockerfile
    target: Stage
    context: Context

    def config(self) -> Config:
        """The configuration of the image."""
        *_, end = self.steps(self.target)
        return end.config

    def digest(self) -> str:
        """A name for the content: of what is copied, run, and set, and from what it begins."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        lines = [FORMAT, version, sys.platform, self.target.name]
        for stage in self.needed(self.target):
            lines.append(f"FROM {self.dockerfile.base(stage)}")
            steps = [step for step in self.steps(stage) if step.instruction.word in CONTENT]
            for step in steps:
                lines.append(f"{step.instruction.word} {step.instruction.flags} {step.text}")
                if step.instruction.word == "RUN":
                    lines.append(repr(sorted(step.arguments.items())))
                lines += [
                    f"{path} {self.context.digest(path)}"
                    for source in self.sources(step)
                    for path, _ in self.context.select(source)
                ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def key(self, stage: Stage) -> str:
        """The name of a stage, or its number."""
        return stage.name or str(self.dockerfile.stages.index(stage))

    def needed(self, stage: Stage) -> list[Stage]:
        """The stages to build, each after those it copies from."""
        needed: list[Stage] = []
        for part in self.dockerfile.chain(stage):
            for instruction in part.instructions:
                source = instruction.flag("from") if instruction.word == "COPY" else None
                if source and UV_IMAGE not in source:
                    needed += self.needed(self.stage(source, instruction))
        unique = {self.key(each): each for each in [*needed, stage]}
        return list(unique.values())

    def stage(self, name: str, instruction: Instruction) -> Stage:
        """The stage an instruction copies from. Raises BuildError."""
        try:
            return self.dockerfile.target(name)
        except DockerfileError:
            raise BuildError(
                f"line {instruction.line}: the emulator cannot copy from another image: {name}"
            ) from None

    def steps(self, stage: Stage) -> Iterator[Step]:
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
                step = Step(instruction, config, dict(arguments))
                yield step
                config = configure(instruction, config, step.variables)
        # Once more, for whoever wants the configuration after the last.
        yield Step(Instruction("END", "", 0), config, {})

    def sources(self, step: Step) -> list[str]:
        """What an instruction takes from the context."""
        if step.instruction.word == "COPY" and step.instruction.flag("from") is None:
            return replace(step.instruction, text=step.text).items()[:-1]
        return [source for source, _ in self.mounts(step)]

    def mounts(self, step: Step) -> list[tuple[str, str]]:
        """The context's files that a RUN sees for its time: each with its path in the image."""
        mounts = []
        for name, value in step.instruction.flags:
            options = dict(part.partition("=")[::2] for part in value.split(","))
            if name == "mount" and options.get("type", "bind") == "bind" and "from" not in options:
                target = options.get("target") or options.get("dst") or options.get("destination")
                mounts.append((options.get("source", options.get("src", ".")), target or "."))
        return mounts
