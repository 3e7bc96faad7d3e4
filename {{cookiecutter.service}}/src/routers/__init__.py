{%- set names = ["health", cookiecutter.__entity] | select | sort -%}
"""The routers: HTTP in, HTTP out. `main.py` serves each of `routers`."""

{% for name in names -%}
from src.routers.{{ name }}_router import router as {{ name }}_router
{% endfor %}
__all__ = [
{%- for name in names + ["s"] %}
    "{{ name }}{{ "_" if name != "s" }}router{{ name if name == "s" }}",
{%- endfor %}
]

routers = (
{%- for name in names %}
    {{ name }}_router,
{%- endfor %}
)
