"""The routers: HTTP in, HTTP out. `main.py` serves each of `routers`; where an
issuer is configured, those not in `open_to_all` ask who calls."""

{{ reexports("routers", {
  "health_router": ["router as health_router"],
  cookiecutter.__entity ~ "_router": ["router as " ~ cookiecutter.__entity ~ "_router"],
}, "open_to_all", "routers") }}

open_to_all = (health_router,)
{% if cookiecutter.__entity -%}
routers = (
{%- for name in ["health", cookiecutter.__entity] | sort %}
    {{ name }}_router,
{%- endfor %}
)
{% else -%}
routers = (health_router,)
{% endif -%}
