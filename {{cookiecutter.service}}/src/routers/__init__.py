"""The routers: HTTP in, HTTP out. `main.py` serves each of `routers`."""

{{ reexports("routers", {
  "health_router": ["router as health_router"],
  cookiecutter.__entity ~ "_router": ["router as " ~ cookiecutter.__entity ~ "_router"],
}, "routers") }}

{% if cookiecutter.__entity -%}
routers = (
{%- for name in ["health", cookiecutter.__entity] | sort %}
    {{ name }}_router,
{%- endfor %}
)
{% else -%}
routers = (health_router,)
{% endif -%}
