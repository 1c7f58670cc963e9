"""The objects of one namespace of a cluster, as plain dictionaries. No other module of this package speaks its API.

ClusterError
+-- AbsentError   the object, or the kind of object, is not there
"""

import json
from collections.abc import Mapping
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
    """The object, or the kind of object, is not there."""


class Kind(StrEnum):
    """Where the API has each kind that we use."""

    PODS = "api/v1/namespaces/{}/pods"
    SECRETS = "api/v1/namespaces/{}/secrets"
    CONFIG_MAPS = "api/v1/namespaces/{}/configmaps"
    DEPLOYMENTS = "apis/apps/v1/namespaces/{}/deployments"
    LEASES = "apis/coordination.k8s.io/v1/namespaces/{}/leases"
    ROUTES = "apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes"


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

    def apply(self, kind: Kind, content: Object, manager: str) -> Object:
        """The object after `manager` has applied the fields that it wants, and dropped those it wanted before."""
        query = [("fieldManager", manager), ("force", "true")]
        return self._call("PATCH", kind, content["metadata"]["name"], query, content, _APPLY)

    def create(self, kind: Kind, content: Object) -> bool:
        """Whether it was made now; False: one of that name is there, and stays as it is."""
        try:
            self._call("POST", kind, body=content)
        except _ConflictError:
            return False
        return True

    def replace(self, kind: Kind, content: Object) -> bool:
        """Whether it was replaced; False: somebody has written it since it was read."""
        try:
            self._call("PUT", kind, content["metadata"]["name"], body=content)
        except _ConflictError:
            return False
        return True

    def _call(
        self,
        method: str,
        kind: Kind,
        name: str = "",
        query: list[tuple[str, str]] | None = None,
        body: Object | None = None,
        content_type: str = _JSON,
    ) -> Object:
        path = f"/{kind.format(self.namespace)}" + (f"/{name}" if name else "")
        headers = {"Accept": _JSON, "Content-Type": content_type}
        try:
            request = self.api.param_serialize(
                method, path, query_params=query or [], header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            answer = self.api.call_api(*request, _request_timeout=SECONDS)
            content: bytes = answer.read()  # type: ignore[no-untyped-call]
        except ApiException as error:
            raise _told(error.status, error.body or "", f"{method} {path}") from error
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(f"the cluster at {self.api.configuration.host} does not answer: {error}") from error
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _told(answer.status, content.decode(errors="replace"), f"{method} {path}")
        parsed: Object = json.loads(content)
        return parsed


class _ConflictError(ClusterError):
    """It is there already, or not as it was read."""


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
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        message = body[:500] or "no reason given"
    kind = {HTTPStatus.NOT_FOUND: AbsentError, HTTPStatus.CONFLICT: _ConflictError}.get(
        HTTPStatus(status or 500), ClusterError
    )
    return kind(f"{what}: {message} ({status})")
