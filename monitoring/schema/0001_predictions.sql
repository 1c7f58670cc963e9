-- One row for each request that a scorer answered or refused, in a partition for each UTC day of scored_at.
--
-- Few constraints, on purpose: COPY is all or nothing, so a check that one odd row fails would cost its whole batch.
-- No default partition, on purpose: with one, rows of a day without a partition would go there unseen, outlive their
-- retention, and forbid making that day's partition later. Without one the insert fails, the scorer keeps the
-- batch in its spool, says so, and sends it again: nothing is lost, and somebody notices.
create table predictions (
    request_id  text             not null,
    event_id    text             not null,
    entity_id   text,
    role        text             not null default current_user check (role in ('stable', 'canary', 'shadow')),
    tag         text             not null,
    occurred_at timestamptz,
    scored_at   timestamptz      not null,
    status      smallint         not null,
    fields      jsonb,
    score       double precision,
    decision    text,
    latency_us  integer          not null,
    -- Starts with request_id: it is what pairs a shadow's row with stable's, and what makes a batch that is sent
    -- twice count once. scored_at is there because a partitioned table's key must hold the partition's column.
    primary key (request_id, role, event_id, scored_at)
) partition by range (scored_at);

-- A rollout reads blocks of 30 seconds out of a day. Rows arrive in the order of their time, which a B-tree takes at
-- its right edge: in 300,000 rows it added 5 % to the size and nothing measurable to the insert, and a block took 2 ms
-- instead of 35 (BRIN: 35 too, until a vacuum comes by). An index on event_id is not worth its 10 % of insert time:
-- whoever joins labels reads whole days, and a hash join without the index was faster than the plan with it.
create index predictions_scored_at on predictions (scored_at);

comment on table predictions is 'One row for each request that a scorer answered or refused.';
comment on column predictions.request_id is 'The gateway''s x-request-id: the same for the row of stable or canary and the row of shadow.';
comment on column predictions.event_id is 'The client''s name of the event, or one made up.';
comment on column predictions.entity_id is 'Pseudonym from x-entity-id; null without that header and for refused requests.';
comment on column predictions.role is 'The database user that wrote the row. No scorer may write this column.';
comment on column predictions.tag is 'The model that answered: risk_scorer:<version>.';
comment on column predictions.occurred_at is 'When the event happened, as the client says; null for refused requests.';
comment on column predictions.scored_at is 'When the scorer took the request: server time, which chooses the partition.';
comment on column predictions.status is 'HTTP status of the answer.';
comment on column predictions.fields is 'The event''s features as sent; null for refused requests.';
comment on column predictions.score is 'Calibrated probability, 0 to 1; null for refused requests.';
comment on column predictions.decision is 'approve, review or block; null for refused requests.';
comment on column predictions.latency_us is 'Microseconds from having the request to having written the answer.';
