"""An app that has the extension and nothing else."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

from audit_service import LoginAudit


@contextmanager
def plain_host(folder: Path, template: Path, name: str = "host", **config: object) -> Iterator[Flask]:
    """Make an app with its trail in *folder*, a copy of the SQLite file *template*."""
    folder.mkdir(exist_ok=True)
    shutil.copy(template, folder / "audit.db")
    app = Flask(name)
    app.config.update({"AUDIT_DATA_DIR": str(folder), **config})
    LoginAudit(app)
    try:
        yield app
    finally:
        LoginAudit.close(app)
