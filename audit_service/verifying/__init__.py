"""The verifier: believes nothing but signatures by keys that it is given, and names what does not fit to them."""
