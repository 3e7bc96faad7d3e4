"""What keeps a provision from working, found before it: each check reads, and none writes."""
