"""The database: column types, engines, bounded waits, models and migrations."""
