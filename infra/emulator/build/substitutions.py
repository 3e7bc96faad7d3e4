"""Cloud Build's substitutions: `$PROJECT_ID`, `${_NAME}`, and values that name others.

Source: Cloud Build, "Substitute variable values".
"""

import re
from collections.abc import Callable, Mapping

from google.cloud.devtools import cloudbuild_v1 as cb

from infra.emulator import errors

_VARIABLE = re.compile(r"\$(?P<escaped>\$)|\$\{(?P<braced>[^}]*)\}|\$(?P<plain>[A-Z_][A-Z0-9_]*)")
_OWN = re.compile(r"_[A-Z0-9_]+")
# Those a trigger gives, and whoever submits a build may.
_GIVEN = frozenset(
    ("TRIGGER_NAME", "COMMIT_SHA", "REVISION_ID", "SHORT_SHA", "REPO_NAME", "REPO_FULL_NAME")
) | {"BRANCH_NAME", "TAG_NAME", "REF_NAME", "TRIGGER_BUILD_CONFIG_PATH", "SERVICE_ACCOUNT"}
_BUILT_IN = frozenset(
    ("PROJECT_ID", "PROJECT_NUMBER", "BUILD_ID", "LOCATION", "SERVICE_ACCOUNT_EMAIL")
)
_DEPTH = 10


def substitute(build: cb.Build, built_in: Mapping[str, str]) -> None:
    """Puts values in everywhere a build may name them. Raises 400 for names that do not match."""
    loose = build.options.substitution_option == cb.BuildOptions.SubstitutionOption.ALLOW_LOOSE
    given = dict(build.substitutions)
    for name in given:
        if not _OWN.fullmatch(name) and name not in _GIVEN:
            raise errors.invalid(
                f'invalid value for "build.substitutions": key {name!r} is not a valid '
                "user-defined substitution: it must match _[A-Z0-9_]+",
                "build.substitutions",
            )
    used: set[str] = set()
    values = {**dict.fromkeys(_GIVEN, ""), **given, **built_in}
    expand = _expander(values, used, loose=loose)
    if build.options.dynamic_substitutions:
        for _ in range(_DEPTH):
            resolved = {name: expand(value) for name, value in given.items()}
            values |= resolved
            if resolved == given:
                break
            given = resolved
    _everywhere(build, expand)
    unused = sorted(set(build.substitutions) - used)
    if unused and not loose and not _automaps(build):
        raise errors.invalid(
            f'invalid value for "build.substitutions": key in the substitution data "{unused[0]}" '
            "is not matched in the template",
            "build.substitutions",
        )
    build.substitutions = {name: values[name] for name in build.substitutions}


def _automaps(build: cb.Build) -> bool:
    steps = any(step.automap_substitutions for step in build.steps)
    return build.options.automap_substitutions or steps


def _expander(values: Mapping[str, str], used: set[str], *, loose: bool) -> Callable[[str], str]:
    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name = match["plain"] or match["braced"] or ""
        if name in values:
            used.add(name)
            return values[name]
        if match["braced"] is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
            raise errors.unimplemented(f"the bash-style substitution ${{{name}}}")
        if loose:
            return ""
        kind = "substitution" if _OWN.fullmatch(name) else "built-in substitution"
        raise errors.invalid(
            f'invalid value for "build.substitutions": key in the template "{name}" is not a valid '
            f"{kind}",
            "build.substitutions",
        )

    return lambda text: _VARIABLE.sub(value, text)


def _everywhere(build: cb.Build, expand: Callable[[str], str]) -> None:
    def all_of(texts: list[str]) -> list[str]:
        return [expand(text) for text in texts]

    for step in build.steps:
        step.name = expand(step.name)
        step.args = all_of(list(step.args))
        step.env = all_of(list(step.env))
        step.dir_ = expand(step.dir_)
        step.entrypoint = expand(step.entrypoint)
    build.images = all_of(list(build.images))
    build.tags = all_of(list(build.tags))
    build.logs_bucket = expand(build.logs_bucket)
    build.service_account = expand(build.service_account)
    build.options.env = all_of(list(build.options.env))
    for secret in build.available_secrets.secret_manager:
        secret.version_name = expand(secret.version_name)
