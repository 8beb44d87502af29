"""The doors, opened and shut: every resource over a real ledger on both databases."""
