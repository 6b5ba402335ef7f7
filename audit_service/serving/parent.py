"""Workers end with the process that made them: without it they would go on, and hold the port."""

import multiprocessing
import os
import signal
import threading
import time

STOP_TIMEOUT = 10  # seconds that a worker has to end in order
_INTERVAL = 0.25  # seconds between two looks


def end_with_parent(pid: int | None = None) -> None:
    """Watch, in a thread, for the end of the parent: then end in order as at SIGTERM, or after STOP_TIMEOUT anyhow.

    *pid* is the parent's; a worker of ``multiprocessing`` knows it.
    """
    if pid is None and (parent := multiprocessing.parent_process()):
        pid = parent.pid
    if pid is not None:
        threading.Thread(target=_watch, args=(pid,), name="audit-parent", daemon=True).start()


def _watch(parent: int | None) -> None:
    while os.getppid() == parent:  # not so from the start if it died before: this process has another parent then
        time.sleep(_INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_TIMEOUT)
    os.kill(os.getpid(), signal.SIGKILL)
