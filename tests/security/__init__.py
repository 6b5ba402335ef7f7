"""The proofs of security. ``make test-security`` runs them long, ``tests/test_security.py`` runs them short.

Each attacks the service itself, in process through WSGI or over HTTP, and then looks at what is in the database.
"""
