"""Tests of the audit log's pure parts."""
