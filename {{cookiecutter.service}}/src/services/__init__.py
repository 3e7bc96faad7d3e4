{%- set modules = {"health_service": ["HealthService"]} -%}
{%- set entity = cookiecutter.__entity -%}
{%- set class = cookiecutter.__entity_class -%}
{%- if entity -%}
{%- set _ = modules.update({entity ~ "_service": [class ~ "Service"]}) -%}
{%- endif -%}
"""The services: the rules, between the routers and the repositories."""

{% for module, names in modules | dictsort -%}
{% set line = "from src.services." ~ module ~ " import " ~ names[0] -%}
from src.services.{{ module }} import {% if names | length > 1 or line | length > 80 %}(
{%- for name in names | sort(case_sensitive=true) %}
    {{ name }},
{%- endfor %}
){% else %}{{ names[0] }}{% endif %}
{% endfor %}
__all__ = [
{%- for name in modules.values() | sum(start=[]) | sort(case_sensitive=true) %}
    "{{ name }}",
{%- endfor %}
]
