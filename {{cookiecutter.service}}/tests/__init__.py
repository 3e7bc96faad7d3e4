"""The service's tests: over HTTP, on a real PostgreSQL."""
