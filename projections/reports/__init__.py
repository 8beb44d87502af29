"""What finance reports from the journal: trial balance, ageing, roll-forward. Summed in the database."""
