"""Edits of a module's classes and imports by syntax tree: all else stays as it was written."""

from collections.abc import Mapping

import libcst as cst

from infra.project import ProjectError
from infra.scaffold.edit import (
    aliases,
    bound,
    fewer,
    import_of,
    imported_module,
    imported_names,
    items_of,
    parse,
    shrunk,
    unimported,
    with_import,
)
from infra.scaffold.imports import used


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

    def drop(self, attribute: str) -> None:
        """Takes a field out of every class that has it."""
        body = [
            without_field(each, attribute) if isinstance(each, cst.ClassDef) else each
            for each in self.tree.body
        ]
        self.tree = self.tree.with_changes(body=body)

    def drop_entry(self, class_name: str, attribute: str, key: str) -> None:
        """Takes an entry out of a dict that a class has, and the dict when it has no other."""
        owner = self.found(class_name, key)
        for each in owner.body.body:
            if attribute_of(each) != attribute:
                continue
            value = getattr(cst.ensure_type(each, cst.SimpleStatementLine).body[0], "value", None)
            if not isinstance(value, cst.Dict):
                return
            kept = fewer(value.elements, lambda one: is_entry(one, key))
            if kept:
                self.swap(value, shrunk(value, "rbrace", "elements", kept))
            else:
                self.drop(attribute)

    def drop_class(self, class_name: str) -> None:
        """Takes a class away."""
        gone = self.found(class_name, "")
        body = [each for each in self.tree.body if each is not gone]
        self.tree = self.tree.with_changes(body=body)

    def drop_unused(self, before: str) -> None:
        """Takes away the imports of what the file used before, and no longer does."""
        gone = used(before) - used(self.code) - {*self.exported()}
        body: list[cst.SimpleStatementLine | cst.BaseCompoundStatement] = []
        above: cst.SimpleStatementLine | None = None
        for each in self.tree.body:
            names = bound_by(each)
            if names and names <= gone:
                above = above or cst.ensure_type(each, cst.SimpleStatementLine)
                continue
            kept = unimported(each, gone) if names & gone else each
            body.append(spaced(kept, above) if above else kept)
            above = None
        self.tree = self.tree.with_changes(body=body)

    def exported(self) -> list[str]:
        """The names in `__all__`."""
        texts = Texts()
        if (items := items_of(self.tree, "__all__")) is not None:
            items.visit(texts)
        return texts.found

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


def without_field(owner: cst.ClassDef, attribute: str) -> cst.ClassDef:
    """The class without a field."""
    if not isinstance(owner.body, cst.IndentedBlock):
        return owner
    body = list(owner.body.body)
    places = [i for i, each in enumerate(body) if attribute_of(each) == attribute]
    for place in reversed(places):
        gone = cst.ensure_type(body.pop(place), cst.SimpleStatementLine)
        if place < len(body):
            body[place] = spaced(body[place], gone)
    body = body or [cst.parse_statement("pass")]
    return owner.with_changes(body=owner.body.with_changes(body=body)) if places else owner


def spaced[Statement: cst.BaseStatement](
    below: Statement, gone: cst.SimpleStatementLine
) -> Statement:
    """The statement below one that is gone, with the empty lines that stood above that."""
    have = getattr(below, "leading_lines", ())
    gap = [each for each in gone.leading_lines if each.comment is None]
    if not gap or (have and have[0].comment is None):
        return below
    return below.with_changes(leading_lines=[*gap, *have])


def is_entry(element: cst.BaseDictElement, key: str) -> bool:
    """Whether it is the dict's entry of the key."""
    found = element.key if isinstance(element, cst.DictElement) else None
    return isinstance(found, cst.SimpleString) and found.evaluated_value == key


def bound_by(statement: cst.BaseStatement) -> set[str]:
    """The names that an import binds; none of another statement, or one with others on its line."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) > 1:
        return set()
    first = statement.body[0]
    if isinstance(first, cst.ImportFrom):
        return {bound(each) for each in aliases(first)}
    return {bound(each) for each in first.names} if isinstance(first, cst.Import) else set()


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
