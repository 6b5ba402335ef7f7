"""The process that makes the workers."""

import threading

from audit_service.serving.server import make_server


def test_a_second_signal_within_the_first_is_passed_over() -> None:
    """``make run`` may get SIGTERM and hand it on, while its whole group gets it, too."""
    server = make_server("unused:app", "127.0.0.1", 8000, workers=1, threads=1)

    class Interrupted(threading.Event):
        times = 0

        def set(self) -> None:
            self.times += 1
            if self.times == 1:
                server.signal_handler_interrupt()
            super().set()

    event = server.main_loop_interrupt = Interrupted()
    server.signal_handler_interrupt()
    assert (event.is_set(), event.times) == (True, 1)
