"""The objects of one namespace of a cluster, as plain dictionaries. No other module of this package speaks its API.

ClusterError
+-- AbsentError           the object is not there
    +-- UnknownKindError  nor is its kind: a definition is missing
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

Object = dict[str, Any]
"""An object of the Kubernetes API as JSON gives it."""

SECONDS: Final = (3.0, 10.0)
"""How long a connection may take, and an answer."""

_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_APPLY: Final = "application/apply-patch+yaml"
_JSON: Final = "application/json"


class ClusterError(Exception):
    """The cluster can't be reached, or refuses."""


class AbsentError(ClusterError):
    """The object is not there."""


class UnknownKindError(AbsentError):
    """The API server knows no such kind of object."""


class Kind(StrEnum):
    """Where the API has each kind that we use."""

    PODS = "api/v1/namespaces/{}/pods"
    EVENTS = "api/v1/namespaces/{}/events"
    SECRETS = "api/v1/namespaces/{}/secrets"
    CONFIG_MAPS = "api/v1/namespaces/{}/configmaps"
    DEPLOYMENTS = "apis/apps/v1/namespaces/{}/deployments"
    LEASES = "apis/coordination.k8s.io/v1/namespaces/{}/leases"
    ROUTES = "apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes"
    ROLLOUTS = "apis/vigil.dev/v1alpha1/namespaces/{}/modelrollouts"


@dataclass(frozen=True)
class Cluster:
    """One namespace. Every call raises ClusterError."""

    api: client.ApiClient
    namespace: str

    def get(self, kind: Kind, name: str) -> Object:
        """The object. Raises AbsentError."""
        return self._call("GET", kind, name)

    def labelled(self, kind: Kind, labels: Mapping[str, str]) -> list[Object]:
        """The objects that have all of these labels."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found: list[Object] = self._call("GET", kind, query=[("labelSelector", selector)])["items"]
        return found

    def with_fields(self, kind: Kind, fields: Mapping[str, str]) -> list[Object]:
        """The objects that have these values in fields that the API server selects by."""
        selector = ",".join(f"{key}={value}" for key, value in fields.items())
        found: list[Object] = self._call("GET", kind, query=[("fieldSelector", selector)])["items"]
        return found

    def apply(self, kind: Kind, content: Object, manager: str) -> Object:
        """The object after `manager` has applied the fields that it wants, and dropped those it wanted before."""
        query = [("fieldManager", manager), ("force", "true")]
        return self._call("PATCH", kind, content["metadata"]["name"], query, content, _APPLY)

    def create(self, kind: Kind, content: Object) -> Object | None:
        """The object as it was made; None: one of that name is there, and stays as it is."""
        try:
            return self._call("POST", kind, body=content)
        except _ConflictError:
            return None

    def replace(self, kind: Kind, content: Object) -> Object | None:
        """The object as it was written, without its status; None: somebody has written it since it was read.

        Raises AbsentError.
        """
        try:
            return self._call("PUT", kind, content["metadata"]["name"], body=content)
        except _ConflictError:
            return None

    def replace_status(self, kind: Kind, content: Object) -> Object | None:
        """The object with the status of `content`; None: somebody has written it since it was read.

        Raises AbsentError.
        """
        try:
            return self._call("PUT", kind, f"{content['metadata']['name']}/status", body=content)
        except _ConflictError:
            return None

    @contextmanager
    def watching(self, kind: Kind, name: str, seconds: int) -> "Iterator[Stream]":
        """Every state of one object from now on, for so many seconds; the first is what it is now, if it is there."""
        query = [("watch", "1"), ("fieldSelector", f"metadata.name={name}"), ("timeoutSeconds", str(seconds))]
        answer = self._answer(_Request("GET", kind, "", query), (SECONDS[0], seconds + SECONDS[1])).response
        try:
            yield Stream(answer)
        finally:
            answer.close()

    def _call(
        self,
        method: str,
        kind: Kind,
        name: str = "",
        query: list[tuple[str, str]] | None = None,
        body: Object | None = None,
        content_type: str = _JSON,
    ) -> Object:
        request = _Request(method, kind, name, query or [], body, content_type)
        try:
            content: bytes = self._answer(request, SECONDS).read()
        except urllib3.exceptions.HTTPError as error:
            raise self._away(error) from error
        return _parsed(content, str(request))

    def _answer(self, request: "_Request", timeout: tuple[float, float]) -> Any:
        """The answer, not read yet. Raises ClusterError for one that is none."""
        path = f"/{request.kind.format(self.namespace)}" + (f"/{request.name}" if request.name else "")
        try:
            made = self.api.param_serialize(
                request.method,
                path,
                query_params=request.query,
                header_params={"Accept": _JSON, "Content-Type": request.content_type},
                body=request.body,
                auth_settings=["BearerToken"],
            )
            answer = self.api.call_api(*made, _request_timeout=timeout)
            refused = answer.status >= HTTPStatus.BAD_REQUEST
            content = answer.response.data.decode(errors="replace") if refused else ""
        except ApiException as error:
            raise _told(error.status, error.body or "", str(request)) from error
        except urllib3.exceptions.HTTPError as error:
            raise self._away(error) from error
        if refused:
            raise _told(answer.status, content, str(request))
        return answer

    def _away(self, error: Exception) -> ClusterError:
        return ClusterError(f"the cluster at {self.api.configuration.host} does not answer: {error}")


@dataclass(frozen=True)
class _Request:
    """What is asked of the API server."""

    method: str
    kind: Kind
    name: str
    query: list[tuple[str, str]]
    body: Object | None = None
    content_type: str = _JSON

    def __str__(self) -> str:
        return f"{self.method} {self.kind.rpartition('/')[2]} {self.name}".rstrip()


@dataclass(frozen=True)
class Stream:
    """The states of one object, as the API server tells them."""

    answer: urllib3.HTTPResponse

    def __iter__(self) -> Iterator[Object | None]:
        """Each state; None: it was deleted. Ends when the server ends it, or `end` was called. Raises ClusterError."""
        rest = b""
        try:
            for chunk in self.answer.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield _state(_parsed(line, "watch"))
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ClusterError(f"the watch ended: {error}") from error

    def end(self) -> None:
        """Makes whoever reads it stop; called by another thread."""
        self.answer.shutdown()


def _state(event: Object) -> Object | None:
    if event["type"] == "ERROR":
        raise ClusterError(f"the watch ended: {event['object'].get('message', event['object'])}")
    state: Object = event["object"]
    return None if event["type"] == "DELETED" else state


class _ConflictError(ClusterError):
    """It is there already, or not as it was read."""


def owners(found: Object, *path: str) -> frozenset[str]:
    """Who wrote a field last, by the names of field managers: the object's own account, `metadata.managedFields`."""
    account = found.get("metadata", {}).get("managedFields", ())
    return frozenset(each["manager"] for each in account if _has(each.get("fieldsV1", {}), path))


def _has(fields: Object, path: tuple[str, ...]) -> bool:
    for name in path:
        if f"f:{name}" not in fields:
            return False
        fields = fields[f"f:{name}"]
    return True


def connect(namespace: str | None = None) -> Cluster:
    """The cluster of this pod, else of KUBECONFIG; `namespace`: by default the pod's or the context's own.

    Raises ClusterError.
    """
    try:
        config.load_incluster_config()  # type: ignore[no-untyped-call]
        found = _pods_namespace()
    except config.ConfigException:
        try:
            config.load_kube_config()  # type: ignore[no-untyped-call]
            context = config.list_kube_config_contexts()[1]["context"]  # type: ignore[no-untyped-call]
            found = context.get("namespace", "default")
        except (config.ConfigException, OSError, yaml.YAMLError, TypeError, ValueError) as error:
            raise ClusterError(f"no cluster: {error}. Set KUBECONFIG, or run in a pod") from error
    return Cluster(client.ApiClient(), namespace or found)


def _pods_namespace() -> str:
    return _NAMESPACE_FILE.read_text(encoding="utf-8").strip()


def _told(status: int | None, body: str, what: str) -> ClusterError:
    """The API server's own sentence, as the error that fits."""
    try:
        answer = json.loads(body)
        message, named = answer["message"], bool(answer.get("details", {}).get("name"))
    except (ValueError, KeyError, TypeError, AttributeError):
        message, named = body.strip()[:500] or "no reason given", False
    kinds: dict[int | None, type[ClusterError]] = {
        404: AbsentError if named else UnknownKindError,
        409: _ConflictError,
    }
    return kinds.get(status, ClusterError)(f"{what}: {message} ({status})")


def _parsed(content: bytes, what: str) -> Object:
    try:
        parsed: Object = json.loads(content)
    except ValueError as error:
        raise ClusterError(f"{what}: the answer is no JSON, but {content[:100]!r}: is it the API server?") from error
    return parsed
