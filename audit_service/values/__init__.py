"""Plain values: limits, text, times, paths, details, conversion, counts of floods. Neither Flask nor SQLAlchemy."""
