"""Evidence from the prediction store's rows and the gateway's counters.

A block is read in one transaction: its counts, who is counted by them, and the record of it. Whatever dies, the block
was read whole or not at all, and a block that is recorded is answered from its record, by any controller.

**When a block closes.** Half its length after its end, once all of this holds; else it waits, and says for what:
- the store answers ('store away'), and its clock and the rows' times are within a quarter of a block of ours
  ('clock skew');
- every gateway was asked after the block's end ('gateway away'). There is no time limit to this: without its counters a
  canary that refuses connections would look like one without traffic. The plan's deadline ends it;
- of each role, the store has 99 % of what scorers answered between the snapshots at the block's ends, less 2 requests
  ('log behind'). Failures without a row are none of that, so they never delay a block. Rows that are lost rather than
  late must not either: those of a scorer that died (not more are missing than failed in the same time), and, after two
  more blocks, up to 5 % where the role has newer rows already. A span of more than 20 blocks, in which no controller
  ran, is not checked: what is late by so much is lost.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic

from pydantic import TypeAdapter, ValidationError

from k8s.rollout import block_times
from k8s.rollout.arms import canary_block, shadow_block
from k8s.rollout.blocks import CanaryBlock, ShadowBlock, Waiting
from k8s.rollout.envoy_stats import Gateway, GatewayAwayError, Snapshot
from k8s.rollout.evidence import Answer, Block, LabelQuestion, Question
from k8s.rollout.gateway_timeline import COUNTED, counted, thinned
from k8s.rollout.history import CANARY_BLOCKS, SHADOW_BLOCKS
from k8s.rollout.labelled import Labelled
from k8s.rollout.log_check import missing_rows
from k8s.rollout.routers import Role
from k8s.rollout.store_looks import StoreLooks
from k8s.rollout.store_noise import StoreNoise
from k8s.rollout.store_session import Patience, StoreAwayError, StoreSession
from monitoring import rollout_blocks, rollout_history
from monitoring.migrations import Connection
from monitoring.rollout_blocks import Models, Span
from monitoring.rollout_history import BlockKey, EvidenceRow, Phase

SNAPSHOTS: Final = 4096
"""Kept at most: over an hour at one a second; then the older ones are thinned."""

_SKEW: Final = 0.25
"""Part of a block by which clocks may differ."""

_SECONDS: Final = 10.0
"""An answer is given after so long, with the blocks that are read until then."""


class StoreEvidence:
    """Blocks of evidence. Never raises for what is away, and never waits for it for long.

    `dsn` is of the user `rollout`; `clock` is ours, in UTC.
    """

    def __init__(
        self, dsn: str, gateway: Gateway, clock: Callable[[], datetime], patience: Patience | None = None
    ) -> None:
        self._gateway, self._clock = gateway, clock
        self._session = StoreSession(dsn, patience)
        self._noise = StoreNoise(self._session)
        self._looks = StoreLooks(self._session)
        self._snapshots: list[Snapshot] = []
        self._gateway_problem = "it was not asked yet"

    def watch(self, now: datetime) -> None:  # noqa: ARG002 - a snapshot has its own times, nearer to the truth
        try:
            self._snapshots.append(self._gateway.snapshot())
            self._gateway_problem = "it was not asked since"
        except GatewayAwayError as error:
            self._gateway_problem = str(error)
        self._snapshots = thinned(self._snapshots, SNAPSHOTS)

    def close(self) -> None:
        """Gives the connection back; a later call opens another."""
        self._session.close()

    def shadow(self, question: Question, now: datetime) -> Answer[ShadowBlock]:
        def read(connection: Connection, number: int, failed: Mapping[Role, int]) -> ShadowBlock:
            models, span = _models(question), _span(question, number)
            arms = rollout_blocks.shadow(connection, models, span)
            pairs = rollout_blocks.pairs(connection, models, span)
            return shadow_block(number, question.block.total_seconds(), arms, pairs, failed)

        return self._answer(_Asked(question, now, "shadow", SHADOW_BLOCKS, read))

    def canary(self, question: Question, now: datetime) -> Answer[CanaryBlock]:
        noise = self._noise.floor(question.stable, question.slo_ms, now)

        def read(connection: Connection, number: int, failed: Mapping[Role, int]) -> CanaryBlock:
            weight, span = block_times.weight(question, number), _span(question, number)
            arms = rollout_blocks.canary(connection, _models(question), span, everywhere=weight >= 1)
            return canary_block(number, question.block.total_seconds(), weight, arms, failed, noise)

        return self._answer(_Asked(question, now, "canary", CANARY_BLOCKS, read))

    def looks(self, question: LabelQuestion, now: datetime) -> Labelled:
        return self._looks.looks(question, now)

    def _answer(self, asked: "_Asked[Block]") -> Answer[Block]:
        found: list[Block] = []
        question, deadline = asked.question, time.monotonic() + _SECONDS
        while len(found) < question.most and time.monotonic() < deadline:
            number = question.after + 1 + len(found)
            block = self._block(asked, number)
            if isinstance(block, Waiting):
                return Answer(tuple(found), block)
            found.append(block)
        return Answer(tuple(found), block_times.enough(question, question.after + 1 + len(found)))

    def _block(self, asked: "_Asked[Block]", number: int) -> Block | Waiting:
        """The block of that number, from its record or read now; what it waits for if it can't be had."""
        question = asked.question
        if asked.now < block_times.closes(question, number):
            return block_times.not_closed(question, number)
        try:
            with self._session.transaction() as connection:
                rollout_blocks.lock(connection, question.attempt)
                return self._read(connection, asked, number)
        except StoreAwayError as error:
            return Waiting("store away", str(error), block_times.ends(question, number))
        except ValidationError as error:
            detail = f"block {number} was recorded by a version that this one can't read: {error.title}"
            return Waiting("store away", detail, block_times.ends(question, number))

    def _read(self, connection: Connection, asked: "_Asked[Block]", number: int) -> Block | Waiting:
        question = asked.question
        kept = asked.kept(connection, number)
        if number in kept:
            return asked.blocks.validate_python(kept[number].block)
        before = COUNTED.validate_python(kept[number - 1].gateway).mark if number - 1 in kept else None
        start, end = block_times.begins(question, number), block_times.ends(question, number)
        gateway = counted(start, end, before, self._snapshots)
        if skew := self._skew(connection, question):
            return Waiting("clock skew", skew, end)
        if gateway is None:
            return Waiting("gateway away", f"its counters at the end of block {number}: {self._gateway_problem}", end)
        if late := missing_rows(connection, gateway, question.block, end, asked.now):
            return Waiting("log behind", late, end)
        block = asked.read(connection, number, gateway.failed)
        document = asked.blocks.dump_python(block, mode="json")
        counters = COUNTED.dump_python(gateway, mode="json")
        rollout_history.record(connection, asked.key(number), document, counters, self._clock())
        return block

    def _skew(self, connection: Connection, question: Question) -> str | None:
        """How far the store's clock, or a row's, is from ours, in words; None when it is near."""
        tolerance = _SKEW * question.block
        earliest = self._clock()
        stores, future = rollout_blocks.clock(connection, _models(question), earliest + tolerance)
        latest = self._clock()
        if not earliest - tolerance <= stores <= latest + tolerance:
            return f"the store's clock says {stores:%H:%M:%S.%f}, and ours {latest:%H:%M:%S.%f}; synchronise them"
        if future:
            return f"a row was scored at {future:%H:%M:%S.%f}, and it is {latest:%H:%M:%S.%f} now; look at that clock"
        return None


@dataclass(frozen=True)
class _Asked(Generic[Block]):
    """A question, when it was asked, and how its blocks are read, written and kept."""

    question: Question
    now: datetime
    phase: Phase
    blocks: "TypeAdapter[Block]"
    read: Callable[[Connection, int, Mapping[Role, int]], Block]

    def key(self, number: int) -> BlockKey:
        return BlockKey(self.question.attempt, self.phase, self.question.since, number)

    def kept(self, connection: Connection, number: int) -> dict[int, EvidenceRow]:
        """The records of a block and of the one before it, as far as there are any."""
        rows = rollout_history.recorded(connection, self.key(max(0, number - 1)), most=2)
        return {row.number: row for row in rows}


def _models(question: Question) -> Models:
    return Models(question.attempt, question.stable, question.candidate, question.slo_ms)


def _span(question: Question, number: int) -> Span:
    return Span(block_times.begins(question, number), block_times.ends(question, number))
