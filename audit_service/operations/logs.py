"""What the service prints: scrubbed, as what it stores is."""

import logging

from flask import Flask
from flask.logging import default_handler

from audit_service.events.tracebacks import scrub

FORMAT = "[%(asctime)s] %(levelname)s in %(module)s: %(message)s"


class ScrubbedFormatter(logging.Formatter):
    """Formats a record and its traceback; what looks like a secret becomes ``***``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text to print."""
        return scrub(super().format(record))


def scrub_logs(app: Flask) -> None:
    """Let Flask's own handler, which prints unless the process has set up logging itself, scrub what it prints."""
    if default_handler in app.logger.handlers:
        default_handler.setFormatter(ScrubbedFormatter(FORMAT))
