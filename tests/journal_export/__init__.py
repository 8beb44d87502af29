"""The journal's exports, and what tools that are not ours say of them."""
