"""Tests of what is true: the ledger."""
