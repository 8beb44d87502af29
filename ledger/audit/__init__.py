"""What makes the log tamper-evident: entries, the Merkle tree over them, signed notes. Pure."""
