"""The rollout's world of a local stack: its files, its Envoy, its prediction store.

It is opened by any process of this user, whether or not the stack runs: what does not answer is said by the part that
was asked.
"""

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

from k8s.local import connections
from k8s.local import errors as local_errors
from k8s.local.envoy_router import EnvoyFileRouter, admin_version
from k8s.local.gateway_manifests import GATEWAY, http_route, read, traffic_policy
from k8s.local.local_fleet import LocalFleet
from k8s.local.ports import LOOPBACK
from k8s.local.state import State
from k8s.rollout.backend import Backend
from k8s.rollout.envoy_stats import EnvoyGateway, fixed
from k8s.rollout.errors import NotRunningError
from k8s.rollout.file_store import FileStore
from k8s.rollout.history import PostgresHistory
from k8s.rollout.leases import FileLease
from k8s.rollout.routers import ROLE_OF
from k8s.rollout.store_comparisons import store_comparisons
from k8s.rollout.store_evidence import StoreEvidence
from k8s.rollout.store_session import StoreSession

USER: Final = "rollout"
"""Whom the prediction store knows the controller as."""


def backend(state: State) -> Backend:
    """The world of the stack in a state folder. Raises NotRunningError when none was ever started there."""
    try:
        links = connections.read(state)
    except local_errors.NotRunningError as error:
        raise NotRunningError(str(error)) from error
    template = read(GATEWAY / "httproute.yaml")
    policy = traffic_policy(read(GATEWAY / "backendtrafficpolicy.yaml"), http_route(template))
    dsn = links.dsns[USER]
    with ExitStack() as opened:
        gateway = EnvoyGateway(fixed(f"http://{LOOPBACK}:{links.admin}"), ROLE_OF, _now)
        evidence, history, session = StoreEvidence(dsn, gateway, _now), PostgresHistory(dsn), StoreSession(dsn)
        for part in (gateway, evidence, history, session):
            opened.callback(part.close)
        return Backend(
            router=EnvoyFileRouter(template, policy, state.routes, lambda: admin_version(links.admin)),
            fleet=LocalFleet(state),
            evidence=evidence,
            store=FileStore(state.rollout),
            history=history,
            comparisons=store_comparisons(session),
            lease=FileLease(state.folder / "rollout.lease"),
            place=f"the stack in {state.folder}",
            close=opened.pop_all().close,
        )


def _now() -> datetime:
    return datetime.now(UTC)
