"""Ports on the loopback interface, and whether what listens there answers.

A port counts as free only when we could bind it a moment ago: a server left over from an earlier run would otherwise
answer in the place of ours. Who then binds it first wins; a child of ours that comes second ends, which its
supervisor notices.
"""

import contextlib
import http.client
import socket
from typing import Final

from k8s.local.errors import PortTakenError

LOOPBACK: Final = "127.0.0.1"
_ANSWER_SECONDS: Final = 2.0


def free_ports(count: int) -> list[int]:
    """Different ports that were free just now."""
    with contextlib.ExitStack() as open_sockets:
        probes = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def refuse_taken(port: int) -> None:
    """Raises PortTakenError when somebody listens on `port`."""
    with socket.socket() as probe:
        # Connections that were closed a moment ago don't count, only a server does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as problem:
            raise PortTakenError(
                f"port {port} can't be had ({problem.strerror}); stop what listens there, "
                "or leave the port out to have a free one found"
            ) from problem


def get(port: int, path: str) -> bytes | None:
    """The body that GET `path` on that port is answered with; None when there is no answer or none with 200."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
