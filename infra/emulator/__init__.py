"""The local cloud. It imports nothing of the rest of infra."""
