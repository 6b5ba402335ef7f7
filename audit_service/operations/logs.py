"""What the service prints: scrubbed, as what it stores is."""

import logging
from typing import TextIO, cast

from flask import Flask
from flask.logging import default_handler, wsgi_errors_stream

from audit_service.events.tracebacks import scrub

FORMAT = "[%(asctime)s] %(levelname)s in %(module)s: %(message)s"


class ScrubbedFormatter(logging.Formatter):
    """Formats a record and its traceback; what looks like a secret becomes ``***``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text to print."""
        return scrub(super().format(record))


def scrub_logs(app: Flask) -> None:
    """Let *app* print through a handler of its own that scrubs, unless the process has set up logging itself.

    Flask's handler is left as it is: all apps of the process share it.
    """
    if default_handler in app.logger.handlers:
        app.logger.removeHandler(default_handler)
        handler = logging.StreamHandler(cast("TextIO", wsgi_errors_stream))
        handler.setFormatter(ScrubbedFormatter(FORMAT))
        app.logger.addHandler(handler)
