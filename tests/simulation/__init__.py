"""The payout worker against everything that can break: in virtual time, the same again by its seed."""
