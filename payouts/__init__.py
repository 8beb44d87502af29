"""Money that leaves: the gateway to Stripe, the worker that pays, a stand-in for Stripe to try both on."""
