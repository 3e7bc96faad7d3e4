"""How large instances may be, how many, and how requests are shared: what Cloud Run refuses.

Source: Cloud Run, "Configure CPU limits", "Configure memory limits", "Set maximum concurrent
requests per instance" and "Use tags for testing, traffic migration and rollbacks".
"""

import re
from collections.abc import Sequence

from google.cloud import run_v2

from infra.emulator import errors

# CPUs, in thousandths, and how many MiB of memory they can have.
_MEMORY = {
    1000: (128, 4096),
    2000: (128, 8192),
    4000: (2048, 16384),
    6000: (4096, 24576),
    8000: (4096, 32768),
}
_UNITS = {"": 1 / 2**20, "k": 1e3 / 2**20, "M": 1e6 / 2**20, "G": 1e9 / 2**20}
_UNITS |= {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024}
_AMOUNT = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>[kMG]|[KMG]i)?")
_CPU = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<milli>m)?")
_TAG = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_LONGEST_TAG = 46
_CONCURRENCY = 1000
_HOUR = 3600


def check_template(template: run_v2.RevisionTemplate, field: str) -> None:
    """Refuses a template, already filled in, that Cloud Run could not run. Raises 400."""
    concurrency = template.max_instance_request_concurrency
    if not 1 <= concurrency <= _CONCURRENCY:
        raise _out_of_bounds(f"{field}.max_instance_request_concurrency", concurrency, _CONCURRENCY)
    if not 1 <= (seconds := template.timeout.total_seconds()) <= _HOUR:
        raise _out_of_bounds(f"{field}.timeout", int(seconds), _HOUR)
    scaling = template.scaling
    if scaling.min_instance_count > scaling.max_instance_count:
        raise errors.invalid(
            f"{field}.scaling.min_instance_count must not be greater than max_instance_count.",
            f"{field}.scaling.min_instance_count",
        )
    for index, container in enumerate(template.containers):
        _check_size(container, concurrency, f"{field}.containers[{index}].resources.limits")


def check_tags(service: str, targets: Sequence[run_v2.TrafficTarget]) -> None:
    """Refuses tags that cannot be part of an address. Raises 400."""
    for tag in (target.tag for target in targets if target.tag):
        if not _TAG.fullmatch(tag) or len(tag) + len(service) > _LONGEST_TAG:
            raise errors.invalid(
                f"Invalid traffic tag {tag!r}: it must be lowercase letters, digits and hyphens, "
                f"begin with a letter and not end with a hyphen, and have at most {_LONGEST_TAG} "
                "characters together with the service's name.",
                "service.traffic.tag",
            )


def _check_size(container: run_v2.Container, concurrency: int, field: str) -> None:
    limits = container.resources.limits
    cpu, memory = _CPU.fullmatch(limits["cpu"]), _AMOUNT.fullmatch(limits["memory"])
    if cpu is None:
        raise errors.invalid(f"Invalid value {limits['cpu']!r} of the cpu.", f"{field}.cpu")
    if memory is None:
        raise errors.invalid(
            f"Invalid value {limits['memory']!r} of the memory.", f"{field}.memory"
        )
    thousandths = round(float(cpu["number"]) * (1 if cpu["milli"] else 1000))
    if 80 <= thousandths < 1000:
        if concurrency > 1:
            message = "Total cpu < 1 is not supported with concurrency > 1."
            raise errors.invalid(f"Invalid value specified for cpu. {message}", f"{field}.cpu")
        least, most = 128, 512 if thousandths < 500 else 1024
    elif thousandths in _MEMORY:
        least, most = _MEMORY[thousandths]
    else:
        raise errors.invalid(
            "Invalid value specified for cpu. It must be 1, 2, 4, 6 or 8, or from 0.08 to 1.",
            f"{field}.cpu",
        )
    if not least <= float(memory["number"]) * _UNITS[memory["unit"] or ""] <= most:
        raise errors.invalid(
            f"Invalid value specified for container memory. For {thousandths / 1000} CPU, memory "
            f"must be between {_text(least)} and {_text(most)} inclusive.",
            f"{field}.memory",
        )


def _text(mebibytes: int) -> str:
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"


def _out_of_bounds(field: str, value: int, most: int) -> errors.GoogleError:
    return errors.invalid(f"{field}: {value} is out of bounds: it must be 1 to {most}.", field)
