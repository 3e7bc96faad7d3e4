"""Edits of the layers' `__init__` by syntax tree: what stands there stays as it was written.

Nothing is read or written here: a text goes in, and a text comes out.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import libcst as cst

from infra.project import ProjectError

WIDTH = 80
LINE = cst.ParenthesizedWhitespace(indent=True, last_line=cst.SimpleWhitespace("    "))
LAST_LINE = cst.ParenthesizedWhitespace(indent=True)

type Items = cst.List | cst.Tuple


def parse(path: str, source: str) -> cst.Module:
    """The syntax tree. Raises ProjectError when it is no Python."""
    try:
        return cst.parse_module(source)
    except cst.ParserSyntaxError as error:
        raise ProjectError(f"{path}:{error.raw_line}: it is no Python: {error.message}") from None


def register(path: str, source: str, module: str, names: Sequence[str]) -> str:
    """Has a layer's `__init__` hand on the names of one of its modules, in the order of the
    others. A name may be `router as item_router`. What is there already is left.

    Raises ProjectError where the file has no place for them, with what to write by hand.
    """
    tree = parse(path, source)
    exported = [name.rpartition(" as ")[2] for name in names]
    statement = import_of(module, names)
    if not any(imported_module(each) == module for each in tree.body):
        tree = tree.with_changes(body=with_import(tree.body, module, statement))
    by_hand = f"write there by hand: {statement.strip()}, and the names in __all__"
    return with_items(path, tree, "__all__", [f'"{name}"' for name in exported], by_hand).code


def register_names(path: str, source: str, module: str, names: Sequence[str]) -> str:
    """Has a layer's `__init__` hand on more names of a module that it imports already.

    Raises ProjectError where it does not.
    """
    if not names:
        return source
    tree = parse(path, source)
    for each in tree.body:
        if imported_module(each) == module:
            have = imported_names(each)
            (new,) = cst.parse_module(import_of(module, sorted({*have, *names}))).body
            old = cst.ensure_type(each, cst.SimpleStatementLine)
            new = new.with_changes(leading_lines=old.leading_lines)
            tree = cst.ensure_type(tree.deep_replace(each, new), cst.Module)
            by_hand = f"write {', '.join(names)} there by hand"
            return with_items(path, tree, "__all__", [f'"{each}"' for each in names], by_hand).code
    raise ProjectError(f"{path}: it imports nothing of {module}; import {', '.join(names)} by hand")


def add_to(path: str, source: str, variable: str, names: Iterable[str]) -> str:
    """Adds names to the list or tuple that a variable is, in the order of the others.

    Raises ProjectError where there is none.
    """
    listed = [*names]
    by_hand = f"write there by hand: {variable} = (…, {', '.join(listed)})"
    return with_items(path, parse(path, source), variable, listed, by_hand).code


def unregister_names(path: str, source: str, module: str, names: set[str]) -> str:
    """Takes names of a module, which the layer goes on importing, from its import and `__all__`."""
    tree = parse(path, source)
    body = [
        unimported(each, names) if imported_module(each) == module else each for each in tree.body
    ]
    tree = tree.with_changes(body=body)
    if (found := items_of(tree, "__all__")) is not None:
        kept = without(found, {f'"{name}"' for name in names})
        tree = cst.ensure_type(tree.deep_replace(found, kept), cst.Module)
    return tree.code


def unregister(path: str, source: str, module: str, variable: str = "__all__") -> str:
    """Takes a module's import away, and the names it brought from `__all__` and the variable."""
    tree = parse(path, source)
    gone: set[str] = set()
    body: list[cst.BaseStatement | cst.SimpleStatementLine] = []
    above: Sequence[cst.EmptyLine] = ()
    for each in tree.body:
        if imported_module(each) == module:
            gone |= imported_names(each)
            above = above or cst.ensure_type(each, cst.SimpleStatementLine).leading_lines
            continue
        if isinstance(each, cst.SimpleStatementLine) and above and not each.leading_lines:
            # The blank line between the docstring and the imports.
            each = each.with_changes(leading_lines=above)  # noqa: PLW2901
        above = ()
        body.append(each)
    if body and tree.body and body[0] is not tree.body[0]:
        body[0] = body[0].with_changes(leading_lines=[])
    tree = tree.with_changes(body=body)
    texts = gone | {f'"{name}"' for name in gone}
    for name in dict.fromkeys(["__all__", variable]):
        if (found := items_of(tree, name)) is not None:
            tree = cst.ensure_type(tree.deep_replace(found, without(found, texts)), cst.Module)
    return tree.code


# What the template imports on lines of their own, however short they are.
BROKEN = {"src.exceptions"}


def unimported(
    statement: cst.BaseStatement | cst.SimpleStatementLine, names: set[str]
) -> cst.SimpleStatementLine:
    """The import without names that it binds, not all of them; on one line again, where it was
    broken for want of room."""
    line = cst.ensure_type(statement, cst.SimpleStatementLine)
    first = line.body[0]
    if not isinstance(first, cst.ImportFrom):
        first = cst.ensure_type(first, cst.Import)
        kept = fewer(first.names, lambda each: bound(each) in names)
        return line.with_changes(body=[first.with_changes(names=kept)])
    code = cst.Module([]).code_for_node
    old = [code(each.with_changes(comma=cst.MaybeSentinel.DEFAULT)) for each in aliases(first)]
    kept = fewer(aliases(first), lambda each: bound(each) in names)
    new = [code(each.with_changes(comma=cst.MaybeSentinel.DEFAULT)) for each in kept]
    module = imported_module(statement)
    start = f"from {module} import "
    was_broken = "\n" in code(first) and len(start + ", ".join(old)) > WIDTH
    fits = len(start + ", ".join(new)) <= WIDTH
    if was_broken and fits and "#" not in code(first) and module not in BROKEN:
        (made,) = cst.parse_module(start + ", ".join(new)).body
        return cst.ensure_type(made, cst.SimpleStatementLine).with_changes(
            leading_lines=line.leading_lines, trailing_whitespace=line.trailing_whitespace
        )
    return line.with_changes(body=[shrunk(first, "rpar", "names", kept)])


def aliases(statement: cst.ImportFrom) -> Sequence[cst.ImportAlias]:
    """What is imported; none of a star."""
    return [] if isinstance(statement.names, cst.ImportStar) else statement.names


def bound(alias: cst.ImportAlias) -> str:
    """The name that an import binds."""
    return alias.evaluated_alias or alias.evaluated_name.partition(".")[0]


def fewer[Node: cst.ImportAlias | cst.BaseElement | cst.BaseDictElement](
    nodes: Sequence[Node], is_gone: Callable[[Node], bool]
) -> list[Node]:
    """The nodes without some, the last with the comma that the last had."""
    kept = [each for each in nodes if not is_gone(each)]
    if kept and kept[-1] is not nodes[-1]:
        kept[-1] = cast("Node", kept[-1].with_changes(comma=nodes[-1].comma))
    return kept


def shrunk[Holder: cst.CSTNode](
    holder: Holder, bracket: str, part: str, kept: Sequence[cst.CSTNode]
) -> Holder:
    """What holds the nodes, with those that were kept; a comment behind the last one stays."""
    before = getattr(holder, part)
    changed = holder.with_changes(**{part: kept})
    last = next((each for each in reversed(before) if kept and is_like(each, kept[-1])), None)
    space = getattr(getattr(last, "comma", None), "whitespace_after", None)
    closing = getattr(holder, bracket)
    end = getattr(closing, "whitespace_before", None)
    if last is before[-1] or not isinstance(space, cst.ParenthesizedWhitespace):
        return changed
    if space.first_line.comment is None or not isinstance(end, cst.ParenthesizedWhitespace):
        return changed
    end = end.with_changes(first_line=space.first_line)
    return changed.with_changes(**{bracket: closing.with_changes(whitespace_before=end)})


def is_like(one: cst.CSTNode, other: cst.CSTNode) -> bool:
    """Whether two nodes are the same but for the comma behind them."""
    plain = {"comma": cst.MaybeSentinel.DEFAULT}
    return one.with_changes(**plain).deep_equals(other.with_changes(**plain))


def import_of(module: str, names: Sequence[str]) -> str:
    """The statement, broken as the formatter breaks it."""
    line = f"from {module} import {names[0]}"
    if len(names) > 1 or len(line) > WIDTH:
        listed = "".join(f"    {name},\n" for name in sorted(names))
        line = f"from {module} import (\n{listed})"
    return f"{line}\n"


def imported_module(statement: cst.BaseStatement | cst.SimpleStatementLine) -> str:
    """The module of a `from … import …` statement, "" when it is none."""
    if not isinstance(statement, cst.SimpleStatementLine):
        return ""
    first = statement.body[0]
    if not isinstance(first, cst.ImportFrom) or first.module is None or first.relative:
        return ""
    return cst.Module([]).code_for_node(first.module)


def imported_names(statement: cst.BaseStatement | cst.SimpleStatementLine) -> set[str]:
    """The names that an import binds."""
    first = cst.ensure_type(statement, cst.SimpleStatementLine).body[0]
    aliases = cst.ensure_type(first, cst.ImportFrom).names
    if isinstance(aliases, cst.ImportStar):
        return set()
    return {each.evaluated_alias or each.evaluated_name for each in aliases}


def with_import[Statement: cst.BaseStatement | cst.SimpleStatementLine](
    body: Sequence[Statement], module: str, statement: str
) -> list[Statement]:
    """The statements with one more import, among those of the same package."""
    (new,) = cst.parse_module(statement).body
    found = list(body)
    package = module.rpartition(".")[0]
    others = [i for i, each in enumerate(found) if imported_module(each).startswith(package)]
    after = [i for i in others if imported_module(found[i]) > module]
    if after and after[0] == others[0]:
        first = cst.ensure_type(found[after[0]], cst.SimpleStatementLine)
        new = new.with_changes(leading_lines=first.leading_lines)
        found[after[0]] = first.with_changes(leading_lines=[])  # type: ignore[assignment]
    place = after[0] if after else others[-1] + 1 if others else behind_imports(found)
    if not others:
        new = new.with_changes(leading_lines=[cst.EmptyLine(indent=False)])
    found.insert(place, new)  # type: ignore[arg-type]
    return found


def behind_imports(body: Sequence[cst.BaseStatement | cst.SimpleStatementLine]) -> int:
    """Where the imports end; behind the docstring, when there are none."""
    is_one = [
        isinstance(each, cst.SimpleStatementLine)
        and isinstance(each.body[0], cst.Import | cst.ImportFrom)
        for each in body
    ]
    if any(is_one):
        return len(is_one) - is_one[::-1].index(True)
    first = body[0].body[0] if body and isinstance(body[0], cst.SimpleStatementLine) else None
    is_docstring = isinstance(first, cst.Expr) and isinstance(first.value, cst.SimpleString)
    return 1 if is_docstring else 0


def items_of(tree: cst.Module, variable: str) -> Items | None:
    """The list or tuple that the module gives to the variable."""
    for statement in tree.body:
        if not isinstance(statement, cst.SimpleStatementLine):
            continue
        first = statement.body[0]
        if isinstance(first, cst.Assign):
            target: cst.BaseExpression = first.targets[0].target
        elif isinstance(first, cst.AnnAssign):
            target = first.target
        else:
            continue
        is_it = isinstance(target, cst.Name) and target.value == variable
        if is_it and isinstance(first.value, cst.List | cst.Tuple):
            return first.value
    return None


def with_items(
    path: str, tree: cst.Module, variable: str, names: Sequence[str], by_hand: str
) -> cst.Module:
    """The module with the names in the variable's list or tuple. Raises ProjectError."""
    items = items_of(tree, variable)
    if items is None:
        raise ProjectError(f"{path}: it has no {variable} = […] to add to; {by_hand}")
    new = items
    for name in names:
        new = with_item(new, name)
    return cst.ensure_type(tree.deep_replace(items, new), cst.Module)


def with_item(items: Items, text: str) -> Items:
    """The list or tuple with one more, where it is sorted to."""
    elements = list(items.elements)
    texts = [cst.Module([]).code_for_node(each.value) for each in elements]
    if text in texts:
        return items
    place = next((i for i, each in enumerate(texts) if rank(each) > rank(text)), len(texts))
    elements.insert(place, cst.Element(cst.parse_expression(text)))
    return spread(items, elements)


def without(items: Items, texts: set[str]) -> Items:
    """The list or tuple without these."""
    code = cst.Module([]).code_for_node
    kept = [each for each in items.elements if code(each.value) not in texts]
    if len(kept) == len(items.elements):
        return items
    if kept:
        one = isinstance(items, cst.Tuple) and len(kept) == 1
        if one and "#" not in code(items):
            # The formatter has a tuple of one on one line.
            return cst.ensure_type(cst.parse_expression(f"({code(kept[0].value)},)"), cst.Tuple)
        last = items.elements[-1].comma
        kept[-1] = kept[-1].with_changes(comma=cst.Comma() if one else last)
    return items.with_changes(elements=kept)


def spread(items: Items, elements: list[cst.BaseElement]) -> Items:
    """The elements, each on a line of its own; the comments between them stay."""
    code = cst.Module([]).code_for_node
    end = closing(items)
    was_last = items.elements[-1] if items.elements else None
    for index, each in enumerate(elements):
        comma = each.comma
        if index == len(elements) - 1:
            elements[index] = each.with_changes(comma=cst.Comma())
        elif each is was_last and "#" in code(end):
            # The comment behind it stood before the bracket.
            kept = end.with_changes(last_line=LINE.last_line, indent=True)
            elements[index] = each.with_changes(comma=cst.Comma(whitespace_after=kept))
            end = LAST_LINE
        elif not isinstance(comma, cst.Comma) or "\n" not in code(comma):
            elements[index] = each.with_changes(comma=cst.Comma(whitespace_after=LINE))
    return bracketed(items.with_changes(elements=elements), end)


def closing(items: Items) -> cst.ParenthesizedWhitespace:
    """What stands before the closing bracket: at least a new line."""
    if isinstance(items, cst.List):
        found = items.rbracket.whitespace_before
    else:
        found = items.rpar[-1].whitespace_before if items.rpar else cst.SimpleWhitespace("")
    return found if isinstance(found, cst.ParenthesizedWhitespace) else LAST_LINE


def bracketed(items: Items, end: cst.ParenthesizedWhitespace) -> Items:
    """The list or tuple with its brackets on lines of their own."""
    if isinstance(items, cst.List):
        left = items.lbracket
        if not isinstance(left.whitespace_after, cst.ParenthesizedWhitespace):
            left = left.with_changes(whitespace_after=LINE)
        right = items.rbracket.with_changes(whitespace_before=end)
        return items.with_changes(lbracket=left, rbracket=right)
    before = list(items.lpar) or [cst.LeftParen()]
    if not isinstance(before[-1].whitespace_after, cst.ParenthesizedWhitespace):
        before[-1] = before[-1].with_changes(whitespace_after=LINE)
    after = list(items.rpar) or [cst.RightParen()]
    after[-1] = after[-1].with_changes(whitespace_before=end)
    return items.with_changes(lpar=before, rpar=after)


def rank(text: str) -> tuple[int, str]:
    """Where ruff sorts a name to (RUF022): constants, classes, then the others."""
    name = text.strip("\"'")
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1 if name[:1].isupper() else 2), name


def edited(path: str, source: str, edits: Iterable[Callable[[str, str], str]]) -> str:
    """The text after all of the edits."""
    for edit in edits:
        source = edit(path, source)
    return source
