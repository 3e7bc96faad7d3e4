"""Cloud Run's rules: defaults, revisions, traffic, jobs. The API is in products."""
