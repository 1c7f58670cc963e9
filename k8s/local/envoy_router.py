"""The router of the local stack: a file of routes that a running Envoy watches.

The file is replaced by rename, so that neither Envoy nor a second router ever sees half of one. The file itself is
the state: a router made anew on the same file knows the split that is in force.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from k8s.local import envoy
from k8s.local.gateway_manifests import BackendTrafficPolicy, http_route
from k8s.local.ports import get
from k8s.rollout.routers import NotInForceError, Route, RouteError, RouterError, Split, split_of, with_split

APPLY_SECONDS: Final = 5.0
"""Envoy takes a new file within milliseconds; on a machine that is busy with something else it may take longer."""

_POLL_SECONDS: Final = 0.01


class EnvoyFileRouter:
    """Writes splits into `routes_file`; its folder must exist, and holds nothing else.

    `version_in_force` asks the running Envoy for the version of its routes (see `admin_version`); `apply` then
    returns once the split decides about requests. Without it, `apply` returns once the file is there.
    """

    def __init__(
        self,
        template: Route,
        policy: BackendTrafficPolicy,
        routes_file: Path,
        version_in_force: Callable[[], str | None] | None = None,
    ) -> None:
        self._template = template
        self._policy = policy
        self._file = routes_file
        self._version_in_force = version_in_force

    def apply(self, split: Split) -> None:
        """Raises RouterError when the file can't be written; NotInForceError when Envoy doesn't take it in time."""
        discovery = envoy.route_discovery(http_route(with_split(self._template, split)), self._policy)
        self._replace(json.dumps(discovery, indent=1))
        if self._version_in_force:
            self._wait_for(discovery["version_info"])

    def current(self) -> Split:
        """The split in the file; the template's while there is none. Raises RouteError for a foreign file."""
        try:
            content = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return split_of(self._template)
        return envoy.split_in(_parsed(content, self._file))

    def altered(self) -> str:
        """Nothing that is known: whoever edits the file writes a split, which is seen as such."""
        return ""

    def _replace(self, content: str) -> None:
        # In the same folder, as a rename is atomic only within one file system.
        draft = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            draft.write_text(content, encoding="utf-8")
            draft.replace(self._file)
        except OSError as problem:
            raise RouterError(f"the routes can't be written to {self._file}: {problem}") from problem

    def _wait_for(self, version: str) -> None:
        assert self._version_in_force is not None  # noqa: S101 - told to mypy; the caller has looked
        deadline = time.monotonic() + APPLY_SECONDS
        while (found := self._version_in_force()) != version:
            if time.monotonic() > deadline:
                raise NotInForceError(
                    f"Envoy did not take version {version} of {self._file} within {APPLY_SECONDS:g} s "
                    f"(it has {found}); its log says why"
                )
            time.sleep(_POLL_SECONDS)


def admin_version(admin_port: int) -> str | None:
    """The version of the routes that the Envoy with this admin port follows; None when it has none or is away."""
    name = f"http.{envoy.ROUTES}.rds.{envoy.ROUTES}.version_text"
    answer = get(admin_port, f"/stats?format=json&filter=^{name}$")
    found = [each["value"] for each in json.loads(answer)["stats"] if each.get("name") == name] if answer else []
    return str(found[0]) if found else None


def _parsed(content: str, file: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError as problem:
        raise RouteError(f"{file} is no JSON: {problem}") from problem
    if not isinstance(parsed, dict):
        raise RouteError(f"{file} holds {type(parsed).__name__}; expected routes of ours")
    return parsed
