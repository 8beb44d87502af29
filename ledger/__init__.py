"""What is true: facts, the rules that admit them, and the store that keeps them."""
