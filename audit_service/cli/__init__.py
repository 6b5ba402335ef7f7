"""The command line: thin commands over functions."""

from audit_service.cli.main import main

__all__ = ["main"]
