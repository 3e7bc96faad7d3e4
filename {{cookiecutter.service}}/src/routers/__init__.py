{%- set names = ["health", cookiecutter.__entity] | select | sort -%}
{%- set exported = ["routers"] -%}
{%- for name in names -%}
{%- set _ = exported.append(name ~ "_router") -%}
{%- endfor -%}
"""The routers: HTTP in, HTTP out. `main.py` serves each of `routers`."""

{% for name in names -%}
{% set line = "from src.routers." ~ name ~ "_router import router as " ~ name ~ "_router" -%}
{% if line | length > 80 -%}
from src.routers.{{ name }}_router import (
    router as {{ name }}_router,
)
{% else -%}
{{ line }}
{% endif -%}
{% endfor %}
__all__ = [
{%- for name in exported | sort %}
    "{{ name }}",
{%- endfor %}
]

{% if names | length > 1 -%}
routers = (
{%- for name in names %}
    {{ name }}_router,
{%- endfor %}
)
{% else -%}
routers = (health_router,)
{% endif -%}
