"""The production overlay's door: HTTPS only, and nobody without a key. Behind it, the same scorers."""

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.elsewhere import overlay, with_own_proxies
from tests.e2e.kubectl import Object, until
from tests.e2e.place import Place

_EVENT = {"amount": 249.9, "hour": 2, "device_risk": 2, "velocity_5m": 7}
_HOST = "vigil.example.com"


@pytest.fixture
def door(vigil: Place, objects: list[Object], tmp_path: Path) -> Iterator[httpx.Client]:
    """A client that trusts the certificate and has no key; afterwards the kind overlay's door is back."""
    production = [
        each for each in overlay("production", vigil.namespace) if each["kind"] in {"Gateway", "SecurityPolicy"}
    ]
    assert {each["kind"] for each in production} == {"Gateway", "SecurityPolicy"}
    certificate, key = _certificate(tmp_path)
    vigil.kubectl("create", "secret", "tls", "vigil-tls", f"--cert={certificate}", f"--key={key}")
    vigil.kubectl("create", "secret", "generic", "api-keys", "--from-literal=shop=key-of-the-shop")
    vigil.kubectl.apply(with_own_proxies(production, vigil.namespace))
    try:
        host, port = vigil.gateway_port("https-443")
        trust = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=f"https://{_HOST}:{port}", verify=trust, transport=_To(host, trust)) as client:
            until(lambda: _status(client) is not None, "the gateway speaks TLS", 60)
            yield client
    finally:
        vigil.kubectl("delete", "securitypolicy", "--all")
        vigil.kubectl("delete", "secret", "vigil-tls", "api-keys")
        vigil.kubectl.apply([each for each in objects if each["kind"] == "Gateway"])
        until(lambda: _answers_plainly(vigil), "the plain door answers again", 60)


class _To(httpx.HTTPTransport):
    """Sends to an address, under the name that the certificate has."""

    def __init__(self, address: str, trust: ssl.SSLContext) -> None:
        super().__init__(verify=trust)
        self._address = address

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = _HOST
        request.url = request.url.copy_with(host=self._address)
        return super().handle_request(request)


def test_without_the_key_or_without_tls_nobody_is_answered(
    vigil: Place, door: httpx.Client, measured: list[str]
) -> None:
    until(lambda: _status(door) == 401, "the API key is asked for", 60)
    refused = {
        "no key": _status(door),
        "wrong key": _status(door, {"x-api-key": "guessed"}),
        "empty key": _status(door, {"x-api-key": ""}),
        "key as another header": _status(door, {"authorization": "key-of-the-shop"}),
    }
    assert set(refused.values()) == {401}
    answer = door.post("/score", json=_EVENT, headers={"x-api-key": "key-of-the-shop", "x-entity-id": "e"})
    assert answer.status_code == 200
    assert answer.json()["model_version"] == vigil.first
    host, port = vigil.gateway_port("https-443")
    with pytest.raises(httpx.TransportError):
        httpx.post(f"http://{host}:{port}/score", json=_EVENT, headers={"x-api-key": "key-of-the-shop"})
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.post(f"https://{host}:{port}/score", json=_EVENT)
    measured.append(
        f"{refused}; with the key 200, a score by {vigil.first}; plain HTTP and no trust in the certificate: refused"
    )


def _status(client: httpx.Client, headers: dict[str, str] | None = None) -> int | None:
    try:
        return client.post("/score", json=_EVENT, headers=headers, timeout=5).status_code
    except httpx.TransportError:
        return None


def _answers_plainly(place: Place) -> bool:
    try:
        return httpx.post(f"{place.url}/score", json=_EVENT, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "tls.crt", folder / "tls.key"
    words = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN={_HOST} "
        f"-addext subjectAltName=DNS:{_HOST} -addext basicConstraints=critical,CA:TRUE -out {certificate} -keyout {key}"
    )
    subprocess.run(words.split(), check=True, capture_output=True)
    return certificate, key
