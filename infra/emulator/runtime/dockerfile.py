"""Reading a Dockerfile: its stages, and what an image of one of them is configured to run.

Source: Docker, "Dockerfile reference". Nothing is carried out here. What the emulator cannot read
is a DockerfileError naming the line, never skipped.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

KNOWN = frozenset(
    ("FROM", "ARG", "ENV", "WORKDIR", "COPY", "ADD", "RUN", "CMD", "ENTRYPOINT", "EXPOSE", "USER")
) | {"LABEL", "STOPSIGNAL", "HEALTHCHECK", "SHELL", "VOLUME", "MAINTAINER", "ONBUILD"}
# What an image of Docker's python has, as far as programs notice.
BASE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
VARIABLE = re.compile(
    r"\\(?P<escaped>\$)|\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<how>:?[-+])(?P<word>[^}]*))?\})"
)


class DockerfileError(Exception):
    """The file cannot be followed; the text says the line and why."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: its flags (`--from=build`), and the rest as it is written."""

    word: str
    text: str
    line: int
    flags: tuple[tuple[str, str], ...] = ()

    def flag(self, name: str) -> str | None:
        """The value of a flag, or None."""
        return next((value for key, value in self.flags if key == name), None)

    def items(self) -> list[str]:
        """The words, or the strings of the JSON form."""
        if self.text.lstrip().startswith("["):
            try:
                return [str(item) for item in json.loads(self.text)]
            except ValueError:
                pass
        try:
            return shlex.split(self.text)
        except ValueError as error:
            raise DockerfileError(f"line {self.line}: {error}: {self.text}") from None


@dataclass(frozen=True)
class Stage:
    """What lies between one FROM and the next."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Config:
    """What an image says about the process to start in it."""

    environment: Mapping[str, str] = field(default_factory=lambda: dict(BASE_ENVIRONMENT))
    folder: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    port: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dockerfile:
    """All stages, in their order, and the arguments declared before the first."""

    stages: tuple[Stage, ...]
    arguments: Mapping[str, str]

    def target(self, name: str | None) -> Stage:
        """The stage of that name or number, the last for None. Raises DockerfileError."""
        if name is None:
            return self.stages[-1]
        for number, stage in enumerate(self.stages):
            if name in (stage.name, str(number)):
                return stage
        raise DockerfileError(f"target stage {name!r} could not be found")

    def chain(self, stage: Stage) -> list[Stage]:
        """The stages it is built on, the first first, and itself."""
        below = [other for other in self.stages if other.name and other.name == stage.base]
        return [*self.chain(below[0]), stage] if below else [stage]

    def base(self, stage: Stage) -> str:
        """The image from elsewhere that the stage begins with."""
        return self.chain(stage)[0].base


def parse(text: str, given: Mapping[str, str]) -> Dockerfile:
    """The stages of a Dockerfile; `given` are the arguments of `--build-arg`."""
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for instruction in _instructions(text):
        if instruction.word == "FROM":
            image, name = _from(instruction, arguments)
            stages.append(Stage(name, image, ()))
        elif stages:
            grown = (*stages[-1].instructions, instruction)
            stages[-1] = replace(stages[-1], instructions=grown)
        elif instruction.word == "ARG":
            arguments |= argument(instruction, given, arguments)
        else:
            raise DockerfileError(f"line {instruction.line}: {instruction.word} before FROM")
    if not stages:
        raise DockerfileError("the file has no FROM")
    return Dockerfile(tuple(stages), arguments)


def configure(instruction: Instruction, config: Config, variables: Mapping[str, str]) -> Config:
    """The configuration after an instruction; unchanged by those that are about files."""
    text = expand(instruction.text, variables)
    quoted = expand(instruction.text, {name: _quoted(value) for name, value in variables.items()})
    changes: dict[str, Any] = {}
    match instruction.word:
        case "ENV":
            changes["environment"] = {**config.environment, **_pairs(instruction, quoted)}
        case "LABEL":
            changes["labels"] = {**config.labels, **_pairs(instruction, quoted)}
        case "WORKDIR":
            changes["folder"] = within(config.folder, text.strip().strip('"'))
        case "EXPOSE":
            changes["port"] = int(text.split()[0].partition("/")[0])
        case "CMD":
            changes["command"] = _program(instruction)
        case "ENTRYPOINT":
            changes = {"entrypoint": _program(instruction), "command": ()}
    return replace(config, **changes)


def _quoted(value: str) -> str:
    """A value that stays one where words are told apart only after it has been put in."""
    return value.replace("\\", "\\\\").replace('"', '\\"')


def argument(
    instruction: Instruction, given: Mapping[str, str], variables: Mapping[str, str]
) -> dict[str, str]:
    """What an ARG declares: the value given, or the default, or nothing."""
    declared = {}
    for item in instruction.items():
        name, has_default, default = item.partition("=")
        if name in given:
            declared[name] = given[name]
        elif has_default:
            declared[name] = expand(default, variables)
        elif name in variables:
            declared[name] = variables[name]
    return declared


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$X`, `${X}`, `${X:-word}` and `${X:+word}` replaced; what is unset is empty."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        found = variables.get(match["plain"] or match["name"], "")
        word = match["word"] or ""
        match match["how"]:
            case ":-" | "-":
                return found or word
            case ":+" | "+":
                return word if found else ""
        return found

    return VARIABLE.sub(value, text)


def within(folder: str, path: str) -> str:
    """A path of the image, absolute and plain."""
    joined = path if path.startswith("/") else f"{folder}/{path}"
    parts: list[str] = []
    for part in joined.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _instructions(text: str) -> list[Instruction]:
    found: list[Instruction] = []
    pending, began = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (pending and not line.strip()):
            continue
        began = began if pending else number
        pending += line.rstrip()
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        if pending.strip():
            found.append(_instruction(pending.strip(), began))
        pending = ""
    if pending.strip():
        found.append(_instruction(pending.strip(), began))
    return found


def _instruction(text: str, line: int) -> Instruction:
    word, _, rest = text.partition(" ")
    word = word.upper()
    if word not in KNOWN:
        raise DockerfileError(f"line {line}: unknown instruction: {word}")
    if re.search(r"<<-?['\"]?\w", rest):
        raise DockerfileError(f"line {line}: the emulator cannot read here-documents")
    flags = []
    rest = rest.strip()
    while word in ("FROM", "COPY", "ADD", "RUN") and rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        name, _, value = flag[2:].partition("=")
        flags.append((name, value))
        rest = rest.lstrip()
    return Instruction(word, rest, line, tuple(flags))


def _from(instruction: Instruction, arguments: Mapping[str, str]) -> tuple[str, str]:
    words = expand(instruction.text, arguments).split()
    if len(words) == 3 and words[1].upper() == "AS":
        return words[0], words[2]
    if len(words) == 1:
        return words[0], ""
    raise DockerfileError(f"line {instruction.line}: FROM takes an image and AS name")


def _program(instruction: Instruction) -> tuple[str, ...]:
    if instruction.text.startswith("["):
        return tuple(instruction.items())
    return ("/bin/sh", "-c", instruction.text)


def _pairs(instruction: Instruction, text: str) -> dict[str, str]:
    """`a=b c="d e"`, or the old form `a b c`."""
    words = replace(instruction, text=text).items()
    if words and "=" not in words[0]:
        name, _, value = text.strip().partition(" ")
        return {name: value.strip()}
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(f"line {instruction.line}: {word!r} is not name=value")
        pairs[name] = value
    return pairs
