"""Tampering as a superuser can do it, and who notices: `make prove` runs all of it on fresh databases."""
