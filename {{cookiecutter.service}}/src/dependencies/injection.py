"""Builds what an endpoint is given, in the event loop and once for a request.

FastAPI calls a class in `Depends()` in its thread pool, as it must with what
could block, and asks of each dependency all that one can have. Ours only keep
what they are given. So classes, and async functions that need the request or
nothing, are built here, together; whatever needs more is FastAPI's to solve.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import wraps
from typing import Annotated, Any, get_args, get_origin

from fastapi import Request
from fastapi.params import Depends

type Recipe = Callable[["Given"], Awaitable[Any]]

ADDED = "request_of_injection"


class Given:
    """What was built for one request, by what built it."""

    __slots__ = ("request", "values")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.values: dict[Any, Any] = {}

    async def open(self, generator: AsyncGenerator[Any]) -> Any:
        """What the generator yields. It goes on when the endpoint has returned
        and its answer is made, or hears what was raised: where FastAPI ends
        what has the scope "function"."""
        stack: AsyncExitStack = self.request.scope["fastapi_function_astack"]
        manager = asynccontextmanager(lambda: generator)
        return await stack.enter_async_context(manager())


def injected(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint, which builds what can be built here; FastAPI gives it the
    rest. An endpoint that is not async, or streams, is left as it is."""
    if not inspect.iscoroutinefunction(endpoint):
        return endpoint
    signature = inspect.signature(endpoint, eval_str=True)
    recipes: dict[str, Recipe] = {}
    kept: list[inspect.Parameter] = []
    own = ADDED
    for name, parameter in signature.parameters.items():
        recipe = recipe_of(parameter.annotation)
        if recipe is not None:
            recipes[name] = recipe
            continue
        kept.append(parameter)
        if parameter.annotation is Request:
            own = name
    if not recipes:
        return endpoint
    if own == ADDED:
        keyword = inspect.Parameter.KEYWORD_ONLY
        kept.append(inspect.Parameter(ADDED, keyword, annotation=Request))

    @wraps(endpoint)
    async def served(**values: Any) -> Any:
        given = Given(values.pop(own) if own == ADDED else values[own])
        for name, recipe in recipes.items():
            values[name] = await recipe(given)
        return await endpoint(**values)

    served.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    return served


def recipe_of(annotation: Any) -> Recipe | None:
    """How to build what `Annotated[…, Depends(…)]` asks for; None where that
    is FastAPI's to do."""
    if get_origin(annotation) is not Annotated:
        return None
    kind, *metadata = get_args(annotation)
    for each in metadata:
        if isinstance(each, Depends):
            target = each.dependency or kind
            if not each.use_cache:
                return None
            if inspect.isclass(target):
                return recipe_of_class(target)
            return recipe_of_function(target, each.scope)
    return None


def recipe_of_class(kind: type) -> Recipe | None:
    """How to build a class, if all it is given can be built."""
    parts: dict[str, Recipe] = {}
    signature = inspect.signature(kind, eval_str=True)
    for name, parameter in signature.parameters.items():
        part = recipe_of(parameter.annotation)
        if part is None:
            return None
        parts[name] = part

    async def build(given: Given) -> Any:
        values = given.values
        if kind not in values:
            override = given.request.app.dependency_overrides.get(kind)
            if override is not None:
                values[kind] = await overridden(override, given)
            else:
                needs = {
                    name: await part(given) for name, part in parts.items()
                }
                values[kind] = kind(**needs)
        return values[kind]

    return build


def recipe_of_function(
    function: Callable[..., Any], scope: str | None
) -> Recipe | None:
    """How to call an async function, or an async generator that ends with
    the endpoint, if it needs the request or nothing."""
    generates = inspect.isasyncgenfunction(function)
    if not generates and not inspect.iscoroutinefunction(function):
        return None
    if generates and scope != "function":
        return None
    signature = inspect.signature(function, eval_str=True)
    needs = [each.annotation for each in signature.parameters.values()]
    if needs not in ([], [Request]):
        return None

    async def call(given: Given) -> Any:
        values = given.values
        if function not in values:
            request = given.request
            override = request.app.dependency_overrides.get(function)
            if override is not None:
                values[function] = await overridden(override, given)
            elif generates:
                values[function] = await given.open(
                    function(request) if needs else function()
                )
            else:
                values[function] = await (
                    function(request) if needs else function()
                )
        return values[function]

    return call


async def overridden(function: Callable[..., Any], given: Given) -> Any:
    """What a test's override gives instead: of the request, or of nothing."""
    needs = inspect.signature(function).parameters
    value: Any = function(given.request) if needs else function()
    if isinstance(value, AsyncGenerator):
        return await given.open(value)
    if inspect.isgenerator(value):
        raise TypeError(f"{function} yields: an override does so async")
    return await value if inspect.isawaitable(value) else value
