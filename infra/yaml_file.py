"""The one YAML reader: a file's values, and for each the line it stands on.

It refuses what YAML allows but nobody means: a key given twice, and a key that is no text.
"""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

type Value = str | int | float | bool | list[Value] | dict[str, Value] | None
type Where = tuple[str | int, ...]

Loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)
"""libyaml's, which is ten times as fast, where PyYAML was built with it."""

NULL = "tag:yaml.org,2002:null"
BOOLEAN = "tag:yaml.org,2002:bool"
TEXT = "tag:yaml.org,2002:str"


class YamlError(Exception):
    """The text is no YAML we take; `line` is where, from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass
class YamlFile:
    """A YAML file's values, by path, with where each was written."""

    path: Path
    value: Value = None
    lines: dict[Where, int] = field(default_factory=dict)
    texts: dict[Where, str] = field(default_factory=dict)
    plain: set[Where] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> "YamlFile":
        """Reads the file. Raises YamlError, or OSError when there is none."""
        file = cls(path)
        try:
            node = yaml.compose(path.read_text("utf-8"), Loader)
        except UnicodeDecodeError as error:
            raise YamlError(1, f"it is not UTF-8: {error}") from None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise YamlError(line, f"this is no YAML: {error.problem or error.context}") from None
        except yaml.YAMLError as error:
            raise YamlError(1, f"this is no YAML: {error}") from None
        if node is not None:
            file.value = file._take(node, ())
        return file

    def line(self, where: Where) -> int:
        """The line of a value, or of the nearest one around it that was written."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def _take(self, node: yaml.Node, where: Where) -> Value:
        self.lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._take_mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self._take(item, (*where, at)) for at, item in enumerate(node.value)]
        self.texts[where] = str(node.value)
        if isinstance(node, yaml.ScalarNode) and not node.style:
            self.plain.add(where)
        return scalar(node)

    def _take_mapping(self, node: yaml.MappingNode, where: Where) -> Value:
        mapping: dict[str, Value] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key, str):
                raise YamlError(line, "a key must be text")
            if key in mapping:
                raise YamlError(line, f"{key} is given twice")
            self.lines[(*where, key)] = line
            mapping[key] = self._take(value_node, (*where, key))
        return mapping


def scalar(node: yaml.Node) -> Value:
    """The value of a scalar node."""
    if node.tag == TEXT:
        return str(node.value)
    constructed: object = yaml.constructor.SafeConstructor().construct_object(node)
    if constructed is None or isinstance(constructed, str | int | float | bool):
        return constructed
    return str(node.value)  # a date, say: as it was written


def resolve(text: str) -> Value:
    """The value a plain scalar of this text has in YAML: `8` is a number, `a` is text."""
    node = yaml.compose(text, Loader)
    return scalar(node) if isinstance(node, yaml.ScalarNode) else text
