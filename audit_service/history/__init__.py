"""The read side: filters, positions, pages of results, exports, counts. It only reads."""
