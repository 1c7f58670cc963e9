"""The webhook against a receiver that takes, refuses, fails, hangs and breaks off."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from k8s.local.ports import free_ports
from k8s.rollout.model_rollout import Event
from k8s.rollout.webhook import SIGNATURE, Address, Sent, Webhook
from tests.waiting import wait_for


class Receiver:
    """Answers with the statuses that it is given, the last again and again; 0 hangs up, -1 does not answer."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.take(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def take(self, request: BaseHTTPRequestHandler) -> None:
        self.bodies.append(request.rfile.read(int(request.headers["Content-Length"])))
        self.headers.append(dict(request.headers))
        self.paths.append(request.path)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == -1:
            self.released.wait(30)
        if status > 0:
            request.send_response(status)
            request.send_header("Location", "http://127.0.0.1:1/elsewhere")
            request.send_header("Content-Length", "0")
            request.end_headers()
        request.close_connection = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook?token=s3cret"

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    made: list[Receiver] = []
    yield made
    for each in made:
        each.close()


def receiver(receivers: list[Receiver], *statuses: int) -> Receiver:
    receivers.append(Receiver(*statuses))
    return receivers[-1]


def verdict(number: int = 1) -> Event:
    at = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
    numbers = {"outcome": "rolled back", "gate": "errors"}
    return Event(number=number, at=at, attempt="a", kind="rollout.verdict", message="it is", numbers=numbers)


def sent(address: Address, *events: Event) -> list[Sent]:
    told: list[Sent] = []
    with Webhook(address, told.append) as webhook:
        for event in events:
            webhook.send(event)
        wait_for(lambda: len(told) == len(events))
    return told


def test_a_verdict_arrives_as_json_with_a_signature_of_its_body(receivers: list[Receiver]) -> None:
    to = receiver(receivers, 200)
    (told,) = sent(Address(to.url, "key"), verdict(7))
    assert told.problem == ""
    content = json.loads(to.bodies[0])
    assert (content["event"], content["attempt"], content["number"]) == ("rollout.verdict", "a", 7)
    assert (content["outcome"], content["gate"]) == ("rolled back", "errors")
    expected = hmac.new(b"key", to.bodies[0], hashlib.sha256).hexdigest()
    assert to.headers[0][SIGNATURE] == f"sha256={expected}"
    assert to.paths == ["/hook?token=s3cret"]


def test_without_a_secret_there_is_no_signature(receivers: list[Receiver]) -> None:
    to = receiver(receivers, 204)
    sent(Address(to.url), verdict())
    assert SIGNATURE not in to.headers[0]


@pytest.mark.parametrize("first", [500, 503, 429, 408, 0])
def test_what_may_pass_is_tried_again_and_arrives_the_same(receivers: list[Receiver], first: int) -> None:
    to = receiver(receivers, first, first, 200)
    (told,) = sent(Address(to.url, tries=5, pause=0.01), verdict())
    assert (told.problem, len(to.bodies), len(set(to.bodies))) == ("", 3, 1)


def test_tries_are_bounded(receivers: list[Receiver]) -> None:
    to = receiver(receivers, 500)
    (told,) = sent(Address(to.url, tries=3, pause=0.01), verdict())
    assert (told.problem, len(to.bodies)) == ("answered 500", 3)


@pytest.mark.parametrize("status", [400, 401, 404, 301, 307])
def test_a_refusal_is_final_and_a_redirect_is_not_followed(receivers: list[Receiver], status: int) -> None:
    to = receiver(receivers, status)
    (told,) = sent(Address(to.url, tries=3, pause=0.01), verdict())
    assert (told.problem, len(to.bodies)) == (f"answered {status}", 1)


def test_nobody_listening_is_a_problem_that_does_not_name_the_address() -> None:
    (told,) = sent(Address(f"http://127.0.0.1:{free_ports(1)[0]}/s3cret", tries=2, pause=0.01), verdict())
    assert told.problem == "no answer: ConnectionRefusedError"


def test_a_receiver_that_hangs_holds_up_nobody_and_the_oldest_is_given_up(receivers: list[Receiver]) -> None:
    to = receiver(receivers, -1)
    told: list[Sent] = []
    with Webhook(Address(to.url, tries=1, timeout=0.5, queue=2), told.append) as webhook:
        webhook.send(verdict(1))
        wait_for(lambda: len(to.bodies) == 1)  # the first is on its way and will not come back for a while
        for number in (2, 3, 4):
            webhook.send(verdict(number))
        assert [each.event.number for each in told] == [2]  # given up at once, on the caller's thread
        assert "2 newer ones waited" in told[0].problem
        to.statuses = [200]
        wait_for(lambda: len(told) == 4)
    assert [(each.event.number, each.problem) for each in told[1:]] == [
        (1, "no answer: TimeoutError"),
        (3, ""),
        (4, ""),
    ]


def test_at_the_end_what_waits_is_tried_once_and_the_process_is_not_held(receivers: list[Receiver]) -> None:
    to = receiver(receivers, 500)
    told: list[Sent] = []
    with Webhook(Address(to.url, tries=20, timeout=1, pause=60), told.append) as webhook:
        webhook.send(verdict())
        wait_for(lambda: len(to.bodies) == 1)
    assert [each.problem for each in told] == ["answered 500"]
