{%- set class = cookiecutter.__entity_class -%}
"""The services: the rules, between the routers and the repositories."""

{{ reexports("services", {
  "health_service": ["HealthService"],
  cookiecutter.__entity ~ "_service": [class ~ "Service"],
}) }}
