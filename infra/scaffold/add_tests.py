"""New fields in the tests of an entity that is there.

The tests of the new fields alone are written as for a new entity; what the file has of them gets
their cases, and what it lacks is added at its end.
"""

from pathlib import Path

import libcst as cst

from infra.project import ProjectError
from infra.scaffold import imports, layers, migration, samples
from infra.scaffold.classes import Editor
from infra.scaffold.edit import imported_module, imported_names, parse
from infra.scaffold.entity import Entity

type Function = cst.FunctionDef


def tests(path: str, source: str, added: Entity, place: Path, folder: Path) -> str:
    """The tests with the new fields. Raises ProjectError where the file has no samples."""
    editor = Editor(path, source)
    new = functions(editor.tree).get("new")
    names = ", ".join(each.attribute for each in added.fields)
    by_hand = f"add {names} to the tests by hand, and to what they send"
    if new is None:
        raise ProjectError(f"{path}: it has no function new() that returns a sample; {by_hand}")
    words = samples.words(added, apart=True) | {"parents": new.asynchronous is not None}
    text = layers.render("test", added, **words)
    (text,) = migration.formatted(place, folder, {"snippet.py": text}).values()
    (place / "snippet.py").unlink()
    theirs = parse(path, text)
    editor.swap(new, sampled(path, new, functions(theirs)["new"], by_hand))
    for name, function in functions(theirs).items():
        ours = functions(editor.tree).get(name)
        if ours is None:
            body = [*editor.tree.body, function]
            editor.tree = editor.tree.with_changes(body=body)
        elif name.startswith("test_"):
            editor.swap(ours, with_cases(ours, function))
    for statement in theirs.body:
        module = imported_module(statement)
        if module and isinstance(statement, cst.SimpleStatementLine):
            wanted = {each for each in imported_names(statement) if is_used(editor.code, each)}
            add_aliases(editor, module, statement, wanted)
    return editor.code


def functions(tree: cst.Module) -> dict[str, Function]:
    """The functions of a module."""
    return {each.name.value: each for each in tree.body if isinstance(each, cst.FunctionDef)}


def is_used(source: str, name: str) -> bool:
    """Whether a module uses a name."""
    return name in imports.used(source)


def add_aliases(
    editor: Editor, module: str, statement: cst.SimpleStatementLine, wanted: set[str]
) -> None:
    """Imports what is wanted of a statement's names, `create as create_category` among them."""
    have = {
        name
        for each in editor.tree.body
        if imported_module(each) == module
        for name in imported_names(each)
    }
    missing = wanted - have
    if not missing:
        return
    if any(" as " in cst.Module([statement]).code for _ in missing):
        place = [i for i, each in enumerate(editor.tree.body) if imported_module(each)][-1] + 1
        first = editor.tree.body[place - 1]
        gap = [] if imported_module(first).startswith("tests.") else [cst.EmptyLine(indent=False)]
        new = statement.with_changes(leading_lines=gap)
        body = [*editor.tree.body[:place], new, *editor.tree.body[place:]]
        editor.tree = editor.tree.with_changes(body=body)
    else:
        editor.add_import(module, missing)


def sampled(path: str, ours: Function, theirs: Function, by_hand: str) -> Function:
    """The function `new` with the samples of the new fields."""
    mine, more = returned(ours), returned(theirs)
    if mine is None or more is None:
        raise ProjectError(f"{path}: new() returns no dict that is written there; {by_hand}")
    code = cst.Module([]).code_for_node
    have = {code(each.key) for each in mine.elements if isinstance(each, cst.DictElement)}
    elements = [each.with_changes(comma=BROKEN) for each in mine.elements]
    elements += [
        each.with_changes(comma=BROKEN)
        for each in more.elements
        if isinstance(each, cst.DictElement) and code(each.key) not in have
    ]
    elements[-1] = elements[-1].with_changes(comma=cst.Comma())
    changed = mine.with_changes(elements=elements)
    function = cst.ensure_type(ours.deep_replace(mine, changed), cst.FunctionDef)
    needs = "next(numbers)" in code(theirs) and "next(numbers)" not in code(ours)
    if not needs:
        return function
    body = list(function.body.body)
    count = next(each for each in theirs.body.body if "next(numbers)" in code(each))
    body.insert(1 if function.get_docstring() else 0, count)
    return function.with_changes(body=function.body.with_changes(body=body))


# In a function, whose own indent is added, and above one.
BROKEN, CASE = (
    cst.Comma(
        whitespace_after=cst.ParenthesizedWhitespace(
            indent=True, last_line=cst.SimpleWhitespace(" " * spaces)
        )
    )
    for spaces in (4, 8)
)


def returned(function: Function) -> cst.Dict | None:
    """The dict that a function returns."""
    for each in function.body.body:
        first = each.body[0] if isinstance(each, cst.SimpleStatementLine) else None
        if isinstance(first, cst.Return) and isinstance(first.value, cst.Dict):
            return first.value
    return None


def with_cases(ours: Function, theirs: Function) -> Function:
    """Our test with the cases of theirs behind its own; one without cases as it is."""
    mine, more = cases(ours), cases(theirs)
    if mine is None or more is None:
        return ours
    code = cst.Module([]).code_for_node
    new = mine
    have = {code(each.value) for each in mine.elements}
    for each in more.elements:
        if code(each.value) not in have:
            new = behind(new, code(each.value))
    return cst.ensure_type(ours.deep_replace(mine, new), cst.FunctionDef)


def behind(items: cst.List, text: str) -> cst.List:
    """The list with one more at its end, in the way that the list is written."""
    wide = "\n" in cst.Module([]).code_for_node(items)
    elements = list(items.elements)
    if not wide:
        elements[-1] = elements[-1].with_changes(
            comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        )
        return items.with_changes(elements=[*elements, cst.Element(cst.parse_expression(text))])
    elements[-1] = elements[-1].with_changes(comma=CASE)
    last = cst.Element(cst.parse_expression(text), comma=cst.Comma())
    return items.with_changes(elements=[*elements, last])


def cases(function: Function) -> cst.List | None:
    """The list of cases that a test is called with."""
    for each in function.decorators:
        call = each.decorator
        if isinstance(call, cst.Call) and len(call.args) > 1:
            value = call.args[1].value
            return value if isinstance(value, cst.List) else None
    return None
