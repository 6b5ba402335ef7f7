"""Authentication and what it opens: accounts, passwords, tokens, the throttle, the viewer of a request."""
