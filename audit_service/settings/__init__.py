"""The settings: the typed table, how it is read, and the data folder."""
