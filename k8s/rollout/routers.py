"""Who gets which share of the traffic: the split, and the routers that put one into force.

A split is kept in one object, the HTTPRoute: weights of the stable and the canary backend, and a mirror to the shadow.
`with_split` and `split_of` are pure and are each other's inverse; a router is only where the object is kept.

    RouterError
    +-- SplitError        the numbers are no split; also a ValueError
    +-- RouteError        the HTTPRoute is not of the form that this module writes
    +-- NotInForceError   the split was written, and the gateway did not take it
"""

import copy
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

Role = Literal["stable", "canary", "shadow"]

SERVICES: Final[dict[Role, str]] = {"stable": "scorer-stable", "canary": "scorer-canary", "shadow": "scorer-shadow"}
"""The Service of each role, as `k8s/base` names them."""

ROLE_OF: Final[dict[str, Role]] = {service: role for role, service in SERVICES.items()}

ENTITY_HEADER: Final = "x-entity-id"
"""What the split is by, as `k8s/base/gateway/backendtrafficpolicy.yaml` says."""

Route = dict[str, Any]
"""An HTTPRoute (gateway.networking.k8s.io/v1) as the API and YAML give it."""


class RouterError(Exception):
    """The root of this module's errors."""


class SplitError(RouterError, ValueError):
    """The numbers are no split."""


class RouteError(RouterError):
    """The HTTPRoute is not of the form that this module writes."""


class NotInForceError(RouterError):
    """The split was written, and the gateway did not take it."""


@dataclass(frozen=True)
class Split:
    """Percentages: of the entities for stable and canary (100 together), of the requests for the mirror to shadow.

    Raises SplitError when a number is no whole percentage or the two weights don't add up to 100.
    """

    stable: int
    canary: int
    mirror: int = 0

    def __post_init__(self) -> None:
        for name in ("stable", "canary", "mirror"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= 100:
                raise SplitError(f"{name} is {value!r}; expected a whole number from 0 to 100 (per cent)")
        if self.stable + self.canary != 100:
            total = self.stable + self.canary
            raise SplitError(f"stable {self.stable} + canary {self.canary} = {total}; they must add up to 100")


class Router(Protocol):
    """Puts a split into force, and tells which one is."""

    def apply(self, split: Split) -> None:
        """Returns once the split is written; applying the same one again changes nothing. Raises RouterError."""

    def current(self) -> Split:
        """The split that was applied last, by whichever router on the same object. Raises RouterError."""

    def altered(self) -> str:
        """How somebody else changed the object since, in words; '' when nobody did, as far as is known.

        Applying a split again puts it right. Raises RouterError.
        """


class MemoryRouter:
    """A router whose object lives in a dictionary, under the name of the route: for tests and dry runs."""

    def __init__(self, template: Route, objects: MutableMapping[str, Route]) -> None:
        self._template = template
        self._name: str = template["metadata"]["name"]
        self._objects = objects

    def apply(self, split: Split) -> None:
        self._objects[self._name] = with_split(self._template, split)

    def current(self) -> Split:
        return split_of(self._objects.get(self._name, self._template))

    def altered(self) -> str:
        return ""


def with_split(route: Route, split: Split) -> Route:
    """A copy of `route` with the weights and the mirror of `split`; everything else is as it was.

    Raises RouteError when the route has not one rule with stable and canary, in this order.
    """
    changed = copy.deepcopy(route)
    rule = _rule(changed)
    stable, canary = _backends(rule)
    stable["weight"], canary["weight"] = split.stable, split.canary
    filters = [each for each in rule.get("filters", []) if not _mirrors_to_shadow(each)]
    if split.mirror:
        filters.append(_mirror(port=stable["port"], percent=split.mirror))
    if filters:
        rule["filters"] = filters
    else:
        rule.pop("filters", None)
    return changed


def split_of(route: Route) -> Split:
    """The split that an HTTPRoute holds. Raises RouteError, and SplitError for weights that are no split."""
    rule = _rule(route)
    stable, canary = _backends(rule)
    mirrors = [each["requestMirror"] for each in rule.get("filters", []) if _mirrors_to_shadow(each)]
    if len(mirrors) > 1:
        raise RouteError(f"{_name(route)} mirrors {len(mirrors)} times to {SERVICES['shadow']}; expected once at most")
    # The Gateway API's defaults: weight 1, and a mirror without a share takes every request.
    mirror = mirrors[0].get("percent", 100) if mirrors else 0
    return Split(stable.get("weight", 1), canary.get("weight", 1), mirror)


def _rule(route: Route) -> dict[str, Any]:
    rules = route.get("spec", {}).get("rules", [])
    if len(rules) != 1:
        raise RouteError(f"{_name(route)} has {len(rules)} rules; expected the one of k8s/base/gateway/httproute.yaml")
    rule: dict[str, Any] = rules[0]
    return rule


def _backends(rule: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The backendRefs of stable and canary. Stable is first: else a growing canary would move entities back."""
    backends = rule.get("backendRefs", [])
    names = [backend.get("name") for backend in backends]
    if names != [SERVICES["stable"], SERVICES["canary"]]:
        raise RouteError(f"backendRefs are {names}; expected {SERVICES['stable']}, {SERVICES['canary']}, in this order")
    return backends[0], backends[1]


def _mirrors_to_shadow(each: dict[str, Any]) -> bool:
    mirrored = each.get("requestMirror", {}).get("backendRef", {}).get("name")
    return each.get("type") == "RequestMirror" and mirrored == SERVICES["shadow"]


def _mirror(port: int, percent: int) -> dict[str, Any]:
    reference = {"name": SERVICES["shadow"], "port": port}
    return {"type": "RequestMirror", "requestMirror": {"backendRef": reference, "percent": percent}}


def _name(route: Route) -> str:
    return f"HTTPRoute {route.get('metadata', {}).get('name', '(without a name)')}"
