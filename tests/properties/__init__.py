"""Laws of the whole: order does not matter, money is zero-sum, a model agrees."""
