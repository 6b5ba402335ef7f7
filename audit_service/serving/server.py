"""granian, as it is set up here: the process that makes the workers."""

import signal
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from audit_service.serving.connections import allow_connections
from audit_service.serving.parent import STOP_TIMEOUT

HEAD_TIMEOUT = 30.0  # seconds for the head of a request, and between two requests of a connection


class Server(MPServer):
    """The process that makes the workers, and ends them in order at the first signal to stop."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop; a further signal changes nothing: its ``Event.set`` could wait for a lock that this thread holds."""
        if not self.interrupt_signal:
            super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]


def make_server(target: str, address: str, port: int, *, workers: int, threads: int) -> Server:
    """Make a server whose *workers* call *target*, which makes a ``Gateway`` with so many *threads*.

    SIGTERM, Ctrl-C and the end of the terminal (SIGHUP, unless it was ignored, as by ``nohup``) stop it in order.
    """
    server = Server(
        target,
        factory=True,
        interface=Interfaces.RSGI,
        address=address,
        port=port,
        workers=workers,
        respawn_failed_workers=True,
        loop=Loops.uvloop,  # asyncio's own loses SIGTERM when more threads wake it at once than its pipe has room for
        workers_kill_timeout=STOP_TIMEOUT,  # one that is told to stop while it starts does not hear it
        http=HTTPModes.http1,  # to tell it from HTTP/2 granian would wait for the first byte without end
        http1_settings=HTTP1Settings(header_read_timeout=int(HEAD_TIMEOUT * 1000)),
        backpressure=allow_connections(threads),
        websockets=False,
        log_access=False,
        log_level=LogLevels.error,
    )
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    hang_up = signal.SIG_IGN if is_ignored else server.signal_handler_interrupt
    server.on_startup(lambda: signal.signal(signal.SIGHUP, hang_up))  # granian's own makes the workers anew
    return server
