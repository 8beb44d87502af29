"""What the tests stand on: databases that are started, migrated and thrown away."""
