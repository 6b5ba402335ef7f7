"""Adapters: each records the logins of one library, by the signals of the library and by looking at requests."""
