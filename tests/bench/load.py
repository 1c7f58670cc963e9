"""A bounded load on one server of this machine, light enough to leave the server the bottleneck.

Each connection keeps one request under way: it sends the next when the answer to the last is whole.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HOST: Final = "127.0.0.1"
_LENGTH: Final = b"content-length: "


@dataclass(frozen=True)
class Measured:
    """What a load saw: its length in seconds, and each answer's latency in seconds."""

    seconds: float
    latencies: list[float]
    refused: int


class _Connection(asyncio.Protocol):
    """Sends its requests one after the other, and notes how long each took."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies: list[float] = []
        self.refused = 0
        self._requests, self._next, self._seen = requests, 0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if self._next == len(self._requests):
            self._transport.close()
            self.done.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(self._requests[self._next])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head = self._seen.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._seen.lower().find(_LENGTH) + len(_LENGTH)
        length = int(self._seen[at : self._seen.index(b"\r", at)])
        if len(self._seen) < head + 4 + length:
            return
        self.latencies.append(time.perf_counter() - self._began)
        self.refused += not self._seen.startswith(b"HTTP/1.1 200")
        self._seen = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))


async def run(port: int, requests: Sequence[bytes], connections: int) -> Measured:
    """Send the requests over that many connections, each its equal part."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda part=requests[each::connections]: _Connection(part), HOST, port)
        for each in range(connections)
    ]
    protocols = [protocol for _, protocol in made]
    await asyncio.gather(*(protocol.done for protocol in protocols))
    latencies = [latency for protocol in protocols for latency in protocol.latencies]
    return Measured(time.perf_counter() - began, latencies, sum(protocol.refused for protocol in protocols))


def request(body: bytes, path: str = "/score", entity: str = "") -> bytes:
    """The bytes of a POST request as a gateway sends it."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"host: {HOST}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "x-request-id: 6f1b0c7e-9a44-4d07-8f4c-0b7c9f0f2a11",
        *([f"x-entity-id: {entity}"] if entity else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
