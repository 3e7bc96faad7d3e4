{%- set modules = {"base_error": ["BaseError"], "database_error": ["DatabaseUnavailableError"]} -%}
{%- set entity = cookiecutter.__entity -%}
{%- set class = cookiecutter.__entity_class -%}
{%- if entity -%}
{%- set _ = modules.update({entity ~ "_error": [class ~ "AlreadyExistsError", class ~ "NotFoundError"]}) -%}
{%- endif -%}
"""The domain's errors, for any layer."""

{% for module, names in modules | dictsort -%}
{% set line = "from src.exceptions." ~ module ~ " import " ~ names[0] -%}
from src.exceptions.{{ module }} import {% if names | length > 1 or line | length > 80 %}(
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
