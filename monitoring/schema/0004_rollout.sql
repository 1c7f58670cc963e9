-- The rollout's memory: what happened, what was seen, and which entities were counted. Append-only; enough to decide
-- everything again (`vigil rollout replay`), and to go on after a restart without counting anything twice.

-- A controller sends an event until the store has taken it, so the same one may come twice: the key makes that harmless.
-- `at` is in the key because numbers begin again at 1 when the rollout's object is made anew.
create table rollout_events (
    attempt text,
    number  bigint      not null,
    at      timestamptz not null,
    kind    text        not null,
    message text        not null,
    numbers jsonb       not null,
    primary key (at, number)
);

create index rollout_events_attempt on rollout_events (attempt, at, number);

comment on table rollout_events is 'What happened in rollouts: steps, decisions, verdicts.';
comment on column rollout_events.attempt is 'One candidate''s way through a rollout; null for what belongs to none.';
comment on column rollout_events.number is 'Rises by one from event to event.';
comment on column rollout_events.kind is 'A stable name, as in rollout.decision.';
comment on column rollout_events.numbers is 'What the message says, as data.';

-- `since` is in the key because the day's watch after a promotion numbers its blocks from 0 again.
create table rollout_evidence (
    attempt text        not null,
    phase   text        not null check (phase in ('shadow', 'canary')),
    since   timestamptz not null,
    number  integer     not null check (number >= 0),
    block   jsonb       not null,
    gateway jsonb       not null,
    read_at timestamptz not null,
    primary key (attempt, phase, since, number)
);

comment on table rollout_evidence is 'The blocks of evidence as they were read, once each.';
comment on column rollout_evidence.since is 'When block 0 began.';
comment on column rollout_evidence.block is 'The counts: k8s.rollout.blocks.CanaryBlock or ShadowBlock.';
comment on column rollout_evidence.gateway is 'The gateway''s counters at the end of the block: where the next one begins.';

-- An entity counts once per metric per attempt. Written in the transaction that records the block in which it counted.
-- Holds pseudonyms: retention and `erase` must delete here, too.
create table rollout_counted (
    attempt    text        not null,
    metric     text        not null,
    entity     text        not null,
    counted_at timestamptz not null default now(),
    primary key (attempt, metric, entity)
);

comment on table rollout_counted is 'Entities that were counted, so that none counts twice in a rollout.';
comment on column rollout_counted.metric is 'errors or flagged; with the prefix "shadow ", or pair, for the shadow phase.';

-- How much the rates of stable's own entities differ: 19 hash slices, hour by hour. Made once an hour, read at each block.
create table rollout_noise (
    hour     timestamptz not null,
    tag      text        not null,
    metric   text        not null check (metric in ('errors', 'over_slo', 'flagged')),
    slo_ms   double precision not null,
    slice    smallint    not null check (slice between 0 and 18),
    events   bigint      not null,
    exposure bigint      not null,
    primary key (tag, hour, slo_ms, metric, slice)
);

comment on table rollout_noise is 'Counts of the stable model in hash slices of its entities, by whole hours.';
comment on column rollout_noise.slo_ms is 'The latency objective that over_slo was counted by.';
comment on column rollout_noise.slice is 'First 32 bits of md5(entity_id) mod 20; the twentieth slice is left out.';
