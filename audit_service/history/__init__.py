"""The read side: filters, positions, pages of results. It only reads."""
