"""Schemas (marshmallow) of every resource, in and out. Instances are made once and reused."""
