{%- set class = cookiecutter.__entity_class -%}
"""The repositories: all that talks to the database."""

{{ reexports("repositories", {
  "health_repository": ["HealthRepository"],
  cookiecutter.__entity ~ "_repository": [class ~ "Repository"],
}) }}
