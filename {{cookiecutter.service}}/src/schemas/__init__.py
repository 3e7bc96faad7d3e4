{%- set class = cookiecutter.__entity_class -%}
"""The shapes of requests and answers."""

{{ reexports("schemas", {
  "errors": ["errors"],
  "faults": ["faults"],
  cookiecutter.__entity ~ "_query": [class ~ "Query"],
  "response": ["ErrorResponse", "Page", "PageQuery", "Paging", "Response"],
}) }}
