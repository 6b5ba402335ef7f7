"""Plain values: text, addresses, details and typed conversion. Neither Flask nor SQLAlchemy."""
