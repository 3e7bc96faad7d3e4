{%- set modules = {"health_repository": ["HealthRepository"]} -%}
{%- set entity = cookiecutter.__entity -%}
{%- set class = cookiecutter.__entity_class -%}
{%- if entity -%}
{%- set _ = modules.update({entity ~ "_repository": [class ~ "Repository"]}) -%}
{%- endif -%}
"""The repositories: all that talks to the database."""

{% for module, names in modules | dictsort -%}
{% set line = "from src.repositories." ~ module ~ " import " ~ names[0] -%}
from src.repositories.{{ module }} import {% if names | length > 1 or line | length > 80 %}(
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
