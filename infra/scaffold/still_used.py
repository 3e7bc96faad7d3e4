"""Who still names a field: in the files of its entity, what a team wrote beside what is generated.

A field may be called as something that every entity's code has (`data`, `status`), so what
stands in a generated file in the same way is no use of it.
"""

import ast
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence

from infra.scaffold import imports, layers, samples
from infra.scaffold.entity import Entity, Field, OnDelete, Type

# What is called with arguments of its own, which are no fields'.
OWN_ARGUMENTS = {"Field", *imports.NAMES}

JSON = ast.unparse(ast.parse(samples.SIMPLE[Type.JSON]))


def places(
    after: Mapping[str, str], before: Mapping[str, str], entity: Entity, attribute: str
) -> list[str]:
    """Where files name the field after it was taken out: `path:line`, the line as it is before."""
    usual = {key for text in generated(entity) for key, _ in uses(text, attribute)}
    found = []
    for path, text in after.items():
        first: dict[str, int] = {}
        for key, line in uses(before[path], attribute):
            first.setdefault(key, line)
        found += [
            f"{path}:{first.get(key, line)}"
            for key, line in uses(text, attribute)
            if key not in usual
        ]
    return found


def generated(entity: Entity) -> Iterator[str]:
    """The files of an entity of these names with fields of every kind that has code of its own."""
    fields = [Field("x", Type.STR, unique=True), Field("y", Type.ENUM, index=True, values=("a",))]
    for target in ("Other", entity.class_name):
        fields += [
            Field(f"z{target}{rule}", Type.REF, target=target, optional=True, on_delete=rule)
            for rule in OnDelete
        ]
    for own in (fields[:1], fields):
        like = Entity(entity.name, entity.plural, tuple(own))
        yield from layers.texts(like, {}).values()
    words = samples.words(like, apart=True)
    yield layers.render("test", like, **words)


def uses(source: str, attribute: str) -> Iterator[tuple[str, int]]:
    """Each part of the source that names the field: what it says but for other texts, its line."""
    for part in parts(ast.parse(source)):
        if any(names(each, attribute) for each in walk(part)):
            bare = Masking(attribute).visit(copy.deepcopy(part))
            line = min(getattr(each, "lineno", 10**9) for each in ast.walk(part))
            yield ast.unparse(bare), line


def parts(tree: ast.AST) -> Iterator[ast.AST]:
    """The statements that have no others in them, and the heads of those that have."""
    for each in ast.iter_child_nodes(tree):
        inner = [
            child
            for child in ast.iter_child_nodes(each)
            if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case)
        ]
        if inner:
            yield from parts(each)
        else:
            yield each


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """All in a node but the named arguments of a `Field(…)` and the like, and a sample of JSON."""
    if isinstance(node, ast.Dict) and ast.unparse(node) == JSON:
        return
    yield node
    for each in ast.iter_child_nodes(node):
        if isinstance(node, ast.Call) and isinstance(each, ast.keyword) and is_own(node.func):
            continue
        yield from walk(each)


def is_own(function: ast.expr) -> bool:
    """Whether it has arguments of its own."""
    if isinstance(function, ast.Attribute):
        return isinstance(function.value, ast.Name) and function.value.id == "sa"
    return isinstance(function, ast.Name) and function.id in OWN_ARGUMENTS


def names(node: ast.AST, attribute: str) -> bool:
    """Whether a node names the field: as attribute, keyword, key, or text that is looked up."""
    if isinstance(node, ast.Attribute | ast.keyword):
        return attribute == (node.attr if isinstance(node, ast.Attribute) else node.arg)
    return any(is_text(each, attribute) for each in looked_up(node)) or any(
        is_text(each, text) for each in sorted_by(node) for text in (attribute, f"-{attribute}")
    )


def looked_up(node: ast.AST) -> Sequence[ast.AST | None]:
    """What is a name of something, if it is a text."""
    if isinstance(node, ast.Subscript):
        return [node.slice]
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        return [node.left]
    if isinstance(node, ast.Call) and not is_parametrized(node.func):
        return node.args
    return node.keys if isinstance(node, ast.Dict) else []


def sorted_by(node: ast.AST) -> Sequence[ast.AST]:
    """What a query sorts by."""
    if not isinstance(node, ast.Dict):
        return []
    return [
        value for key, value in zip(node.keys, node.values, strict=True) if is_text(key, "sort")
    ]


def is_parametrized(function: ast.expr) -> bool:
    """Whether it is `pytest.mark.parametrize`, whose first text names parameters."""
    return isinstance(function, ast.Attribute) and function.attr == "parametrize"


def is_text(node: ast.AST | None, text: str) -> bool:
    """Whether a node is this text."""
    return isinstance(node, ast.Constant) and node.value == text


class Masking(ast.NodeTransformer):
    """Makes all texts but one alike, and the names of all arguments but it."""

    def __init__(self, kept: str) -> None:
        self.kept = {kept, f"-{kept}"}

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """A text."""
        is_other = isinstance(node.value, str) and node.value not in self.kept
        return ast.Constant("") if is_other else node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        """An argument."""
        self.generic_visit(node)
        is_other = node.arg is not None and node.arg not in self.kept
        return ast.keyword("_", node.value) if is_other else node


def imported(files: Iterable[tuple[str, str]], names: set[str]) -> str | None:
    """The first file, with its line, that uses one of the names."""
    for path, source in files:
        for each in ast.walk(ast.parse(source)):
            if isinstance(each, ast.ImportFrom):
                found = names & {alias.name for alias in each.names}
            elif isinstance(each, ast.Name):
                found = names & {each.id}
            else:
                continue
            if found:
                return f"{path}:{each.lineno}: it uses {min(found)}"
    return None
