{%- set class = cookiecutter.__entity_class -%}
"""The domain's errors, for any layer."""

{{ reexports("exceptions", {
  "base_error": ["BaseError"],
  "database_error": ["DatabaseUnavailableError"],
  cookiecutter.__entity ~ "_error": [class ~ "AlreadyExistsError", class ~ "NotFoundError"],
}) }}
