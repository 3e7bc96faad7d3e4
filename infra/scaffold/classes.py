"""Edits of a module's classes and imports by syntax tree: all else stays as it was written."""

from collections.abc import Mapping

import libcst as cst

from infra.project import ProjectError
from infra.scaffold.edit import (
    import_of,
    imported_module,
    imported_names,
    parse,
    with_import,
)


class Editor:
    """One file, edited step by step. A step raises ProjectError where its place is missing."""

    def __init__(self, path: str, source: str) -> None:
        self.path = path
        self.tree = parse(path, source)

    @property
    def code(self) -> str:
        """The file as it is then."""
        return self.tree.code

    def found(self, class_name: str, what: str) -> cst.ClassDef:
        """The class; `what` is to be written there by hand when it is missing."""
        for each in self.tree.body:
            if isinstance(each, cst.ClassDef) and each.name.value == class_name:
                return each
        raise ProjectError(
            f"{self.path}: it has no class {class_name} to add to; write there by hand:\n{what}"
        )

    def append(self, class_name: str, snippet: str) -> None:
        """Adds what stands in the snippet's class to the end of the fields of another."""
        (holder,) = cst.parse_module(snippet).body
        new = list(cst.ensure_type(holder, cst.ClassDef).body.body)
        owner = self.found(class_name, snippet)
        body = list(owner.body.body)
        place = max(
            (i + 1 for i, each in enumerate(body) if isinstance(each, cst.SimpleStatementLine)),
            default=len(body),
        )
        if place == 1:  # a docstring, and then a line that is empty
            new[0] = new[0].with_changes(leading_lines=[cst.EmptyLine(indent=False)])
        body[place:place] = new
        self.swap(owner, owner.with_changes(body=owner.body.with_changes(body=body)))

    def remove(self, class_name: str, attribute: str) -> None:
        """Takes a field of a class away, if it is there."""
        owner = self.found(class_name, attribute)
        kept = [each for each in owner.body.body if attribute_of(each) != attribute]
        self.swap(owner, owner.with_changes(body=owner.body.with_changes(body=kept)))

    def sorts(self, class_name: str) -> list[str]:
        """The columns that lists can be sorted by, from the field `sort`."""
        owner = self.found(class_name, "sort: Literal[…] | None = None")
        for each in owner.body.body:
            if attribute_of(each) == "sort":
                texts = Texts()
                each.visit(texts)
                return [text for text in texts.found if not text.startswith("-")]
        return []

    def insert_before(self, class_name: str, text: str) -> None:
        """Adds statements before a class."""
        place = list(self.tree.body).index(self.found(class_name, text))
        body = list(self.tree.body)
        gap = [cst.EmptyLine(indent=False)] * 2
        new = [cst.ensure_type(each, cst.ClassDef) for each in cst.parse_module(text).body]
        body[place:place] = [each.with_changes(leading_lines=gap) for each in new]
        self.tree = self.tree.with_changes(body=body)

    def add_entries(self, class_name: str, attribute: str, entries: Mapping[str, str]) -> None:
        """Adds entries to a dict that a class has; makes it where there is none."""
        owner = self.found(class_name, str(entries))
        lines = [f'    "{key}": {value},' for key, value in entries.items()]
        for each in owner.body.body:
            if attribute_of(each) == attribute:
                value = getattr(cst.ensure_type(each, cst.SimpleStatementLine).body[0], "value", 0)
                if not isinstance(value, cst.Dict):
                    raise ProjectError(
                        f"{self.path}: {attribute} is no dict; add {dict(entries)} by hand"
                    )
                before = [
                    f"    {cst.Module([]).code_for_node(one.with_changes(comma=cst.Comma()))}"
                    for one in value.elements
                ]
                made = cst.parse_expression("{\n" + "\n".join([*before, *lines]) + "\n}")
                self.swap(value, made)
                return
        inner = [f"    {line}" for line in lines]
        text = "\n".join([f"    {attribute}: ClassVar = {{", *inner, "    }"])
        self.append(class_name, f"class Snippet:\n{text}\n")

    def use_sqlalchemy(self, snippet: str) -> None:
        """Imports SQLAlchemy as `sa` where the snippet needs it."""
        if "sa." not in snippet or "import sqlalchemy as sa" in self.code:
            return
        (new,) = cst.parse_module("import sqlalchemy as sa\n").body
        body = list(self.tree.body)
        places = [i for i, each in enumerate(body) if imported_module(each) == "sqlmodel"]
        if not places:
            raise ProjectError(f"{self.path}: write there by hand: import sqlalchemy as sa")
        first = cst.ensure_type(body[places[0]], cst.SimpleStatementLine)
        body[places[0]] = first.with_changes(leading_lines=[])
        body.insert(places[0], new.with_changes(leading_lines=first.leading_lines))
        self.tree = self.tree.with_changes(body=body)

    def add_imports(self, modules: Mapping[str, set[str]]) -> None:
        """Adds what is not imported yet, to the import of the same module where there is one."""
        for module, names in sorted(modules.items()):
            self.add_import(module, names)

    def add_import(self, module: str, names: set[str]) -> None:
        """Adds names to what is imported of a module."""
        for each in self.tree.body:
            if imported_module(each) == module:
                have = imported_names(each)
                if names <= have:
                    return
                was = cst.ensure_type(each, cst.SimpleStatementLine)
                (new,) = cst.parse_module(joined(module, have | names, was)).body
                self.swap(each, new.with_changes(leading_lines=was.leading_lines))
                return
        body = with_import(self.tree.body, module, import_of(module, sorted(names)))
        self.tree = self.tree.with_changes(body=body)

    def swap(self, old: cst.CSTNode, new: cst.CSTNode) -> None:
        """Puts a node in another's place."""
        self.tree = cst.ensure_type(self.tree.deep_replace(old, new), cst.Module)


class Texts(cst.CSTVisitor):
    """Collects the texts of a statement."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        """One of them."""
        self.found.append(str(node.evaluated_value))


def attribute_of(statement: cst.BaseStatement | cst.BaseSmallStatement) -> str:
    """The name that a statement of a class gives a value or a type, "" when it gives none."""
    first = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
    if isinstance(first, cst.AnnAssign):
        target: cst.BaseExpression = first.target
    elif isinstance(first, cst.Assign):
        target = first.targets[0].target
    else:
        return ""
    return target.value if isinstance(target, cst.Name) else ""


def joined(module: str, names: set[str], was: cst.SimpleStatementLine) -> str:
    """The import of all the names; broken where it was, or where it has to be."""
    listed = sorted(names, key=lambda name: (not name.isupper(), not name[:1].isupper(), name))
    line = f"from {module} import {', '.join(listed)}\n"
    if "\n" not in cst.Module([was]).code.strip() and len(line) <= 81:
        return line
    inner = "".join(f"    {name},\n" for name in listed)
    return f"from {module} import (\n{inner})\n"
