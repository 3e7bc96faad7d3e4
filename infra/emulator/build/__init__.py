"""Cloud Build's rules: substitutions, sources, and a build from its queue to its result."""
