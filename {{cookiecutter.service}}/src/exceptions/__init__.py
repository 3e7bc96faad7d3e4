{%- set class = cookiecutter.__entity_class -%}
"""The domain's errors, for any layer."""

{{ reexports("exceptions", {
  "base_error": ["BaseError"],
  "caller_error": ["IssuerUnavailableError", "UnauthenticatedError"],
  "database_error": ["DatabaseUnavailableError"],
  "reference_error": ["StillReferencedError"],
  cookiecutter.__entity ~ "_error": [class ~ "AlreadyExistsError", class ~ "NotFoundError"],
}) }}
