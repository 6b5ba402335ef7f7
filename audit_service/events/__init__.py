"""Events before they are stored, and what the current request says of them."""
