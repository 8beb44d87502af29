"""Resources: a file per noun. Responders say what a door does; the rules are in the ledger."""
