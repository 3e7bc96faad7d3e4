"""Images by digest: what the service's files name, and what a registry says a tag is now.

Knows nothing of Google: any registry that speaks the OCI distribution protocol will do.
"""
