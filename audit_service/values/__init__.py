"""Plain values: limits, text, details, typed conversion, counts of floods. Neither Flask nor SQLAlchemy."""
