"""A stand-in for Stripe: a process of its own, with its own store and books, that the real SDK talks to.

It plays another company, so it imports nothing of revshare, keeps its own SQLite file and creates its own
tables (alembic owns revshare's tables only). BEHAVIOURS.md says for each behaviour where it comes from.
"""
