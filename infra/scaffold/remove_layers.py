"""Fields taken out of the files of an entity's layers, by syntax tree: all else stays as it is.

The reverse of add.py. What only the fields needed goes too: classes of values, errors, imports.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import libcst as cst

from infra.scaffold import imports, layers, spelling
from infra.scaffold.add import Replacing
from infra.scaffold.classes import Editor, Texts, attribute_of

ROUTE = "status_code=201, responses=errors(400, {}409)"


@dataclass(frozen=True)
class Leaving:
    """What leaves which entity: `attributes` are the fields' columns."""

    class_name: str
    attributes: Sequence[str]


def model(path: str, source: str, gone: Leaving) -> tuple[str, list[str]]:
    """The models without the fields, and the classes of values that went with them."""
    editor = Editor(path, source)
    for each in gone.attributes:
        editor.drop(each)
    unused = imports.used(source) - imports.used(editor.code)
    enums = [each.name.value for each in editor.tree.body if isinstance(each, cst.ClassDef)]
    enums = [each for each in enums if each in unused]
    for name in enums:
        editor.drop_class(name)
    editor.drop_unused(source)
    return editor.code, enums


def query(path: str, source: str, gone: Leaving) -> str:
    """What lists can be filtered and sorted by, without the fields."""
    editor = Editor(path, source)
    class_name = f"{gone.class_name}Query"
    before = editor.sorts(class_name)
    for each in gone.attributes:
        editor.drop(each)
    names = [each for each in before if each not in gone.attributes]
    if names != before:
        resort(editor, class_name, before, names)
    editor.drop_unused(source)
    return editor.code


def resort(editor: Editor, class_name: str, before: list[str], names: list[str]) -> None:
    """Has `sort` name these, in the command's own words where they are; else only in its list."""
    if not names:
        editor.drop("sort")
        return
    for each in editor.found(class_name, "sort").body.body:
        if attribute_of(each) != "sort":
            continue
        line = cst.ensure_type(each, cst.SimpleStatementLine)
        (ours,) = cst.parse_module(spelling.sort_line(before)).body
        (new,) = cst.parse_module(spelling.sort_line(names)).body
        if bare(ours) == bare(line):
            new = cst.ensure_type(new, cst.SimpleStatementLine)
            editor.swap(line, line.with_changes(body=new.body))
        else:
            listed = ", ".join(f'"{name}", "-{name}"' for name in names)
            changed = cst.ensure_type(line.visit(Listing(listed)), cst.SimpleStatementLine)
            editor.swap(line, changed)


def bare(statement: cst.CSTNode) -> str:
    """A statement's code without what only its layout needs."""
    return re.sub(r"[\s()]|,(?=\])", "", cst.Module([]).code_for_node(statement))


class Listing(cst.CSTTransformer):
    """Gives each `Literal` another list."""

    def __init__(self, listed: str) -> None:
        super().__init__()
        self.listed = listed

    def leave_Subscript(
        self, original_node: cst.Subscript, updated_node: cst.Subscript
    ) -> cst.Subscript:
        """Rewrites it."""
        if not isinstance(updated_node.value, cst.Name) or updated_node.value.value != "Literal":
            return updated_node
        return cst.ensure_type(cst.parse_expression(f"Literal[{self.listed}]"), cst.Subscript)


def repository(path: str, source: str, gone: Leaving) -> str:
    """Which error says that what is referred to is not there, without the fields."""
    editor = Editor(path, source)
    for each in gone.attributes:
        editor.drop_entry(f"{gone.class_name}Repository", "references", each)
    editor.drop_unused(source)
    return editor.code


def references(path: str, source: str, class_name: str) -> dict[str, str]:
    """The error of each column that refers to another table, from a repository."""
    editor = Editor(path, source)
    for each in editor.found(f"{class_name}Repository", "references").body.body:
        value = getattr(getattr(each, "body", [None])[0], "value", None)
        if attribute_of(each) == "references" and isinstance(value, cst.Dict):
            code = cst.Module([]).code_for_node
            return {
                str(one.key.evaluated_value): code(one.value)
                for one in value.elements
                if isinstance(one, cst.DictElement) and isinstance(one.key, cst.SimpleString)
            }
    return {}


def service(path: str, source: str, class_name: str, errors: Iterable[str]) -> str:
    """The docstrings without errors that can no longer be raised."""
    tree = cst.parse_module(source)
    for each in errors:
        tree = cst.ensure_type(tree.visit(NotRaising(class_name, each)), cst.Module)
    return tree.code


class NotRaising(cst.CSTTransformer):
    """Takes an error out of where the docstrings of `create` and `update` say what they raise."""

    def __init__(self, class_name: str, error: str) -> None:
        super().__init__()
        self.error = error
        # An update of an entity that is not there raises its own.
        own = error == f"{class_name}NotFoundError"
        self.methods = {"create"} if own else {"create", "update"}

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        """Rewrites the docstring, unless it has somebody's own words."""
        name = original_node.name.value
        docstring = original_node.get_docstring(clean=False)
        if name not in self.methods or not docstring or not docstring.rstrip().endswith("."):
            return updated_node
        what, _, listed = docstring.rstrip().removesuffix(".").rpartition("Raises")
        errors = re.split(r",?\s+and\s+|,\s+", listed.strip())
        left = [each for each in errors if each != self.error]
        if left == errors or not left or not all(each.isidentifier() for each in errors):
            return updated_node
        fill = name == "create" or len(left) > 2
        new = layers.raises(what.strip(), left, fill=fill)
        replaced = updated_node.visit(Replacing(f'"""{docstring}"""', f'"""{new}"""'))
        return cst.ensure_type(replaced, cst.FunctionDef)


def router(path: str, source: str) -> str:
    """A new one can no longer refer to nothing: no 404."""
    return source.replace(ROUTE.format("404, "), ROUTE.format(""))


def groups(path: str, source: str) -> list[list[str]]:
    """The attributes of each unique group in the tables of a file."""
    finder = Groups()
    Editor(path, source).tree.visit(finder)
    return finder.found


class Groups(cst.CSTVisitor):
    """Collects the texts of each `UniqueConstraint(…)`."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[list[str]] = []

    def visit_Call(self, node: cst.Call) -> None:
        """One of them."""
        if cst.Module([]).code_for_node(node.func).rpartition(".")[2] == "UniqueConstraint":
            texts = Texts()
            for each in node.args:
                if each.keyword is None:
                    each.visit(texts)
            self.found.append(texts.found)
