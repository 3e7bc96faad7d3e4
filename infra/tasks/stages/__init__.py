"""The stages of a release, one a file: each says what it does, step by step, and leaves how it is
done to infra/release. What comes when is said in infra/tasks/deploy.py."""
