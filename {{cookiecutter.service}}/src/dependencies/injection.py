"""Builds injected classes in the event loop.

FastAPI calls a class in `Depends()` in its thread pool, as it must with any
function that could block; that costs more than most queries. Our classes only
keep what they are given. So, before a router is served, each
`Annotated[Class, Depends()]` of its endpoints becomes one async function that
builds the class, and the classes that it is given.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, get_args, get_origin

from fastapi import APIRouter, Depends
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute

type Given = Mapping[str, Any]
type Build = Callable[[Given], Any]


def build_in_event_loop(router: APIRouter) -> None:
    """Prepares the endpoints of a router: call it before `include_router`,
    which reads their signatures."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            endpoint: Any = route.endpoint
            signature = inspect.signature(endpoint, eval_str=True)
            endpoint.__signature__ = signature.replace(
                parameters=[
                    parameter.replace(annotation=injected(parameter.annotation))
                    for parameter in signature.parameters.values()
                ]
            )


def injected(annotation: Any) -> Any:
    """The annotation; where it injects a class, with a function instead."""
    kind = class_of(annotation)
    if kind is None:
        return annotation
    return Annotated[kind, Depends(factory(kind))]


def class_of(annotation: Any) -> type | None:
    """The class that `Annotated[Class, Depends()]` injects."""
    if get_origin(annotation) is not Annotated:
        return None
    kind, *metadata = get_args(annotation)
    if not inspect.isclass(kind):
        return None
    for each in metadata:
        if isinstance(each, Dependency) and each.dependency in {None, kind}:
            return kind
    return None


def factory(kind: type) -> Callable[..., Any]:
    """An async function that builds the class. Its parameters are what the
    class and those in it are given from outside: FastAPI solves each once."""
    needs: list[inspect.Parameter] = []
    build = plan(kind, needs)

    async def construct(**given: Any) -> Any:
        return build(given)

    construct.__name__ = kind.__name__
    construct.__signature__ = inspect.Signature(needs)  # type: ignore[attr-defined]
    return construct


def plan(kind: type, needs: list[inspect.Parameter]) -> Build:
    """How the class is built of what is given by name. Adds to the needs."""
    parts: dict[str, Build] = {}
    signature = inspect.signature(kind, eval_str=True)
    for name, parameter in signature.parameters.items():
        inner = class_of(parameter.annotation)
        if inner is not None:
            parts[name] = plan(inner, needs)
        else:
            parts[name] = partial(take, need(parameter, needs))
    return partial(construct_with, kind, parts)


def need(parameter: inspect.Parameter, needs: list[inspect.Parameter]) -> str:
    """The name under which the parameter's value is given."""
    for known in needs:
        if known.annotation == parameter.annotation:
            return known.name
    name = f"need_{len(needs)}"
    kind = inspect.Parameter.KEYWORD_ONLY
    needs.append(parameter.replace(name=name, kind=kind))
    return name


def take(name: str, given: Given) -> Any:
    """What is given by that name."""
    return given[name]


def construct_with(kind: type, parts: Mapping[str, Build], given: Given) -> Any:
    """The class, with its parts."""
    return kind(**{name: part(given) for name, part in parts.items()})
