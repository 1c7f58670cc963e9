"""A scorer without a model, for tests of what is around one: the same settings, paths and answers, run as a process.

It remembers what it was sent (GET /seen), and can be told to misbehave by STAND_IN: "never ready" answers 503 on
/readyz, "dies" ends at once, "deaf" ignores SIGTERM.
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
from typing import Any

import uvicorn

ROLE = os.environ.get("SCORER_ROLE", "stable")
MANNER = os.environ.get("STAND_IN", "")
TAG = os.environ.get("STAND_IN_TAG", f"risk_scorer:{hashlib.sha256(ROLE.encode()).hexdigest()[:12]}")

seen: list[dict[str, Any]] = []


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    body = await _body(receive)
    status, answer = 200, {}
    if scope["path"] == "/readyz":
        status = 503 if MANNER == "never ready" else 200
    elif scope["path"] == "/seen":
        answer = {"seen": seen}
    elif scope["path"] == "/score":
        event = json.loads(body)
        seen.append({"path": scope["path"], "headers": headers, "event": event})
        await asyncio.sleep(float(headers.get("x-stand-in-delay", 0)))
        status = int(headers.get("x-stand-in-status", 200))
        answer = {
            "event_id": event.get("event_id") or f"made-up-{len(seen)}",
            "request_id": headers.get("x-request-id", "none"),
            "score": 0.25,
            "decision": "approve",
            "model_version": TAG,
        }
    content = json.dumps(answer).encode()
    out = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    out.append((b"x-request-id", headers.get("x-request-id", "none").encode()))
    await send({"type": "http.response.start", "status": status, "headers": out})
    await send({"type": "http.response.body", "body": content})


async def _body(receive: Any) -> bytes:
    content = b""
    while True:
        message = await receive()
        content += message.get("body", b"")
        if not message.get("more_body"):
            return content


def main() -> None:
    sys.stderr.write(f"stand-in scorer {ROLE}\n")
    sys.stderr.flush()
    if MANNER == "dies":
        sys.exit("stand-in: as told, I die at once")
    config = uvicorn.Config(
        app, port=int(os.environ["SCORER_PORT"]), lifespan="off", access_log=False, log_level="warning"
    )
    server = uvicorn.Server(config)
    if MANNER == "deaf":
        server.handle_exit = lambda *_: None  # type: ignore[method-assign]
    server.run()
    signal.raise_signal(signal.SIGTERM) if MANNER == "deaf" else sys.exit(0)


if __name__ == "__main__":
    main()
