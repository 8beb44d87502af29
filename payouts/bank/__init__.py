"""Partners off Stripe: files to our own bank, and what its statements say."""
