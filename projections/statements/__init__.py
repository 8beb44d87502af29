"""Closing months and issuing statements: the one thing that reads views and then tells facts.

What a month came to stands in the journal; the rules are `ledger.period`'s. A fact is appended only if
nothing that it speaks of came into the log behind what the views have seen.
"""
