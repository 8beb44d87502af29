"""The views, held to the facts that they are made of."""
