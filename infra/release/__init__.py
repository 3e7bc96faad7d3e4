"""A release: the source packaged, built, migrated to, and rolled out once it is healthy.

Each room does one of the four; which come when is said in infra/tasks/deploy.py.
"""


class ReleaseError(Exception):
    """A step of a release failed; the text says which, what Google answered, and what to do."""
