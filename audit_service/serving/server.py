"""granian, as it is set up here: the process that makes the workers."""

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from audit_service.serving.connections import allow_connections

STOP_TIMEOUT = 10  # seconds that a worker has to end in order
HEAD_TIMEOUT = 30.0  # seconds for the head of a request, and between two requests of a connection


def make_server(target: str, address: str, port: int, *, workers: int, threads: int) -> MPServer:
    """Make a server whose *workers* call *target*, which makes a ``Gateway`` with so many *threads*.

    SIGTERM and Ctrl-C stop it in order.
    """
    return MPServer(
        target,
        factory=True,
        interface=Interfaces.RSGI,
        address=address,
        port=port,
        workers=workers,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_TIMEOUT,  # one that is told to stop while it starts does not hear it
        http=HTTPModes.http1,  # to tell it from HTTP/2 granian would wait for the first byte without end
        http1_settings=HTTP1Settings(header_read_timeout=int(HEAD_TIMEOUT * 1000)),
        backpressure=allow_connections(threads),
        websockets=False,
        log_access=False,
        log_level=LogLevels.error,
    )
