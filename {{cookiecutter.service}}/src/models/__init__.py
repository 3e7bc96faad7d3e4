{%- set modules = {"base_model": ["BaseInput", "BaseRow", "Text"]} -%}
{%- set entity = cookiecutter.__entity -%}
{%- set class = cookiecutter.__entity_class -%}
{%- if entity -%}
{%- set _ = modules.update({entity ~ "_model": [class, class ~ "Base", class ~ "Create", class ~ "Public", class ~ "Update"]}) -%}
{%- endif -%}
"""The entities. Alembic sees the tables that are exported here."""

{% for module, names in modules | dictsort -%}
{% set line = "from src.models." ~ module ~ " import " ~ names[0] -%}
from src.models.{{ module }} import {% if names | length > 1 or line | length > 80 %}(
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
