"""Tests of the money that leaves: the worker, the gateway, the stand-in."""
