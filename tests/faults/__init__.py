"""Real ends: processes killed at each step, a database that stops, connections that are cut."""
