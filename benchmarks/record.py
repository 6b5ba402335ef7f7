"""What one ``record()`` costs the process that calls it."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from uuid_utils.compat import uuid7

from audit_service.settings.table import Settings
from audit_service.trail.recorder import Recorder
from tests.factories import LoginFactory
from tests.support.databases import migrated

EVENTS = 10_000


def cost_of_record(server: str, folder: Path) -> dict[str, float]:
    """Return µs of CPU for an event, for both databases, with one caller and with sixteen."""
    costs = {}
    for name, url in (("PostgreSQL", server), ("SQLite", f"sqlite:///{folder}/record.db")):
        recorder = Recorder(Settings(database_url=migrated(url)).url)
        template = LoginFactory.build()
        for callers in (1, 16):
            events = [msgspec.structs.replace(template, id=uuid7()) for _ in range(EVENTS)]
            with ThreadPoolExecutor(callers) as threads:
                started = time.process_time()
                list(threads.map(recorder.record, events))
                costs[f"{name}, {callers} callers"] = (time.process_time() - started) / EVENTS * 1e6
        recorder.stop()
    return costs
