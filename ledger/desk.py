"""The contents page: every wish and the rule that grants or refuses it. `Desk.execute` is the one way in."""
