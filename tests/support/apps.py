"""The service in this process, as tests make it."""

SECRET_KEY = "a secret key for tests"
