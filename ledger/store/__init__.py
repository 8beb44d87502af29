"""The event store: the only room that knows the eventsourcing library."""
