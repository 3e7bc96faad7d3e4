"""A service brought up to a later template: baked old and new, and merged with what the team did.

origin and template say from where to where; bake and merge compute, touching nothing; branch puts
the result into the working tree, and finish makes one commit of it. What is under way is in state.
"""


class UpgradeError(Exception):
    """A step of an upgrade failed; the text says which, and what to do."""
