"""Fields taken out of the tests of their entity: the samples, the cases, the tests of them alone.

The reverse of add_tests.py; what a team wrote itself is left, and still_used.py finds it.
"""

from collections.abc import Sequence

import libcst as cst

from infra.scaffold import imports
from infra.scaffold.add_tests import Function, cases, functions, returned
from infra.scaffold.classes import Editor, is_entry
from infra.scaffold.edit import WIDTH, fewer, shrunk
from infra.scaffold.samples import RULES

NUMBER = "number = next(numbers)"
# Their cases are in a row, as far as there is room; those of all others have a line each.
IN_A_ROW = {"test_a_list_is_of_what_was_asked_for", "test_a_list_is_sorted"}


def tests(path: str, source: str, attributes: Sequence[str], *, is_imported: bool) -> str:
    """The tests without the fields. `is_imported`: other tests use `new` of these too."""
    editor = Editor(path, source)
    own = {name for each in attributes for name in tests_of(each)}
    body: list[cst.SimpleStatementLine | cst.BaseCompoundStatement] = []
    for each in editor.tree.body:
        kept: cst.SimpleStatementLine | cst.BaseCompoundStatement | None = each
        if isinstance(each, cst.FunctionDef):
            name = each.name.value
            if name == "new":
                kept = without_samples(each, attributes)
            elif name in own:
                kept = None
            elif name.startswith("test_"):
                kept = without_cases(each, attributes)
        if kept is not None:
            body.append(kept)
    editor.tree = editor.tree.with_changes(body=body)
    if not is_imported:
        wait_no_more(editor)
    editor.drop_unused(source)
    return editor.code


def tests_of(attribute: str) -> set[str]:
    """The names of the tests that are about a field alone."""
    name = attribute.removesuffix("_id")
    found = {
        f"test_the_{name}_of_{what}_{rule}" for what in ("one", "itself") for rule in RULES.values()
    }
    return found | {f"test_a_list_is_sorted_by_{attribute}_as_declared"}


def without_samples(new: Function, attributes: Sequence[str]) -> Function:
    """The function `new` without the samples of the fields."""
    mine = returned(new)
    if mine is None:
        return new
    kept = fewer(mine.elements, lambda each: any(is_entry(each, name) for name in attributes))
    function = cst.ensure_type(
        new.deep_replace(mine, shrunk(mine, "rbrace", "elements", kept)), cst.FunctionDef
    )
    code = cst.Module([]).code_for_node
    if "number" in imports.used(code(function)) or "number" not in imports.used(code(new)):
        return function
    body = [each for each in function.body.body if code(each).strip() != NUMBER]
    return function.with_changes(body=function.body.with_changes(body=body))


def without_cases(test: Function, attributes: Sequence[str]) -> Function | None:
    """The test without the cases of the fields; None when it has no other."""
    mine = cases(test)
    if mine is None or not is_by_field(test):
        return test
    kept = fewer(mine.elements, lambda each: field_of(each) in attributes)
    if len(kept) == len(mine.elements):
        return test
    if not kept:
        return None
    new: cst.BaseExpression = shrunk(mine, "rbracket", "elements", kept)
    call = cst.ensure_type(test.decorators[0].decorator, cst.Call)
    if test.name.value in IN_A_ROW and is_broken_for_room(call):
        code = cst.Module([]).code_for_node
        listed = ", ".join(code(each.value) for each in kept)
        row = cst.parse_expression(f"{code(call.func)}({code(call.args[0].value)}, [{listed}])")
        return cst.ensure_type(test.deep_replace(call, row), cst.FunctionDef)
    return cst.ensure_type(test.deep_replace(mine, new), cst.FunctionDef)


def is_by_field(test: Function) -> bool:
    """Whether a test's cases are told by a field, which is the first that each has."""
    for each in test.decorators:
        if isinstance(each.decorator, cst.Call) and len(each.decorator.args) > 1:
            names: cst.BaseExpression = each.decorator.args[0].value
            if isinstance(names, cst.Tuple | cst.List) and names.elements:
                names = names.elements[0].value
            if isinstance(names, cst.SimpleString):
                return str(names.evaluated_value).partition(",")[0] in {"field", "fields"}
    return False


def field_of(case: cst.BaseElement) -> str:
    """The field that a case is about: a text, or the first of several; "" when it is none."""
    value = case.value
    if isinstance(value, cst.Tuple | cst.List):
        # Unique together: a field in a group with others is not removed.
        is_one = isinstance(value, cst.Tuple) or len(value.elements) == 1
        return field_of(value.elements[0]) if value.elements and is_one else ""
    return str(value.evaluated_value) if isinstance(value, cst.SimpleString) else ""


def is_broken_for_room(call: cst.Call) -> bool:
    """Whether a call has more than one line because two had no room for it."""
    code = cst.Module([]).code_for_node
    text = code(call)
    items = call.args[1].value
    if "#" in text or not isinstance(items, cst.List):
        return False
    listed = ", ".join(code(each.value) for each in items.elements)
    return len(f"    {code(call.args[0].value)}, [{listed}]") > WIDTH


def wait_no_more(editor: Editor) -> None:
    """Has `new` be no coroutine, when nothing in it waits for another entity any more."""
    code = cst.Module([]).code_for_node
    new = functions(editor.tree).get("new")
    if new is None or new.asynchronous is None:
        return
    lines = lines_of(new)
    names = [each.name.value for each in new.params.params]
    if names != ["client"] or "await" in lines or "client" in imports.used(lines):
        return
    calls = "".join(code(each) for each in editor.tree.body if each is not new)
    if imports.used(calls) >= {"new"} and calls.count("new(") != calls.count("await new(client)"):
        return
    plain = new.with_changes(asynchronous=None, params=cst.Parameters())
    editor.swap(new, plain)
    editor.tree = cst.ensure_type(editor.tree.visit(Waiting()), cst.Module)


def lines_of(function: Function) -> str:
    """What a function does, without its decorators and parameters."""
    return cst.Module(body=list(function.body.body)).code  # type: ignore[arg-type]


class Waiting(cst.CSTTransformer):
    """Calls `new` without waiting for it."""

    def leave_Await(self, original_node: cst.Await, updated_node: cst.Await) -> cst.BaseExpression:
        """Rewrites it."""
        call = updated_node.expression
        if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Name):
            return updated_node
        if call.func.value != "new":
            return updated_node
        return call.with_changes(args=[], lpar=updated_node.lpar, rpar=updated_node.rpar)
