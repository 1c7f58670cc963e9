"""Comparisons of models, as the prediction store has them."""

from k8s.rollout.backend import Comparisons
from k8s.rollout.store_session import StoreAwayError, StoreSession
from monitoring import comparisons
from monitoring.comparisons import Comparison
from monitoring.errors import UnreachableError


def store_comparisons(session: StoreSession) -> Comparisons:
    """Asks for the newest comparison of two models at each call."""

    def newest(stable: str, candidate: str) -> Comparison | None:
        try:
            with session.transaction() as connection:
                return comparisons.newest(connection, stable, candidate)
        except StoreAwayError as error:
            raise UnreachableError(f"the comparisons can't be read: {error}") from error

    return newest
