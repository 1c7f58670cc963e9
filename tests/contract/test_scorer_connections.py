"""What happens on a connection: requests in pieces, in rows, in older dialects, and clients that go away."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

EVENT = json.dumps({"amount": 249.9, "hour": 2, "device_risk": 2, "velocity_5m": 7}).encode()


def request(body: bytes = EVENT, more: str = "", path: str = "/score", version: str = "1.1") -> bytes:
    head = f"POST {path} HTTP/{version}\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"{head}{more}\r\n".encode() + body


@pytest.fixture
def connection(server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2].rstrip("/"))), timeout=10) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield made


class Reader:
    """Reads whole answers from a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, self._file.read(int(headers.get("content-length", 0)))

    def ended(self) -> bool:
        return self._file.read(1) == b""


def test_one_connection_answers_one_request_after_the_other(connection: socket.socket) -> None:
    reader = Reader(connection)
    for _ in range(3):
        connection.sendall(request())
        assert reader.answer()[0] == 200


def test_requests_sent_at_once_are_answered_in_their_order(connection: socket.socket) -> None:
    ids = [f"r-{number}" for number in range(20)]
    connection.sendall(b"".join(request(more=f"x-request-id: {each}\r\n") for each in ids))
    reader = Reader(connection)
    assert [reader.answer()[1]["x-request-id"] for _ in ids] == ids


def test_requests_to_other_paths_keep_their_place_among_scores(connection: socket.socket) -> None:
    probe = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    connection.sendall(request() + probe + request() + probe + request(b"{"))
    reader = Reader(connection)
    assert [reader.answer()[0] for _ in range(5)] == [200, 200, 200, 200, 400]


@pytest.mark.parametrize("cut", [5, 60, -20])
def test_a_request_that_comes_in_pieces_is_answered(server, connection: socket.socket, cut: int) -> None:
    whole = request()
    connection.sendall(whole[:cut])
    wait_until_read(server)
    connection.sendall(whole[cut:])
    status, _, body = Reader(connection).answer()
    assert (status, json.loads(body)["model_version"]) == (200, server.tag)


def wait_until_read(server) -> None:
    """A round trip on another connection: what was sent before it has been read when it is answered."""
    assert server.client.get("/livez").status_code == 200


def test_a_client_that_expects_100_continue_is_told_so(connection: socket.socket) -> None:
    whole = request(more="expect: 100-continue\r\n")
    connection.sendall(whole[: -len(EVENT)])
    reader = Reader(connection)
    assert reader.answer()[0] == 100
    connection.sendall(EVENT)
    assert reader.answer()[0] == 200


def test_an_http_1_0_client_gets_its_answer_and_the_end(connection: socket.socket) -> None:
    connection.sendall(request(version="1.0"))
    reader = Reader(connection)
    assert reader.answer()[0] == 200
    assert reader.ended()


def test_a_client_that_says_close_gets_its_answer_and_the_end(connection: socket.socket) -> None:
    connection.sendall(request(more="connection: close\r\n"))
    reader = Reader(connection)
    assert reader.answer()[0] == 200
    assert reader.ended()


def test_too_large_a_body_ends_the_connection(connection: socket.socket) -> None:
    connection.sendall(request(b" " * 20_000))
    reader = Reader(connection)
    assert reader.answer()[0] == 413
    assert reader.ended()


def test_nothing_is_scored_after_the_answer_that_ends_a_connection(server, connection: socket.socket) -> None:
    before = requests_with_status(server, "200")
    connection.sendall(request(b" " * 17_000) + request())
    reader = Reader(connection)
    assert reader.answer()[0] == 413
    assert reader.ended()
    assert requests_with_status(server, "200") == before


def test_what_is_no_http_is_refused_and_the_server_goes_on(server, connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x01 this is TLS, or nothing\r\n\r\n")
    assert Reader(connection).answer()[0] == 400
    assert server.client.get("/livez").status_code == 200


def test_a_client_that_leaves_amid_its_request_is_counted(server, connection: socket.socket) -> None:
    before = requests_with_status(server, "499")
    connection.sendall(request()[:-20])
    wait_until_read(server)
    connection.close()
    deadline = time.monotonic() + 10
    while requests_with_status(server, "499") == before:
        assert time.monotonic() < deadline, "the lost request was not counted"


def requests_with_status(server, status: str) -> float:
    text = server.client.get("/metrics").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "vigil_scorer_requests_total" and sample.labels["status"] == status
    )
