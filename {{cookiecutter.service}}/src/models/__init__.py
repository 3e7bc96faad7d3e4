{%- set class = cookiecutter.__entity_class -%}
"""The entities. Alembic sees the tables that are exported here."""

{{ reexports("models", {
  "base_model": ["BaseInput", "BaseRow", "Text"],
  cookiecutter.__entity ~ "_model": [class, class ~ "Base", class ~ "Create", class ~ "Public", class ~ "Update"],
}) }}
