"""Webhooks: stored as they came, answered, and only then worked on. Each is a hint to look at something."""
