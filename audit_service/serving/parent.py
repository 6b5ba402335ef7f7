"""Workers end with the process that made them: without it they would go on, and hold the port."""

import multiprocessing
import os
import signal
import threading
import time

STOP_TIMEOUT = 10  # seconds that a worker has to end in order
_INTERVAL = 0.25  # seconds between two looks


def end_with_parent() -> None:
    """Watch, in a thread, for the end of the parent: then end in order as at SIGTERM, or after STOP_TIMEOUT anyhow."""
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_watch, args=(parent.pid,), name="audit-parent", daemon=True).start()


def _watch(parent: int | None) -> None:
    while os.getppid() == parent:  # not so from the start if it died before: this process has another parent then
        time.sleep(_INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_TIMEOUT)
    os.kill(os.getpid(), signal.SIGKILL)
