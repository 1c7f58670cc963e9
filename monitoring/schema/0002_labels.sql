-- What an event turned out to be. Append-only: a label that changes is a new row, and the newest known_at counts.
-- The key leaves no two labels of one event with the same known_at, so there is always one newest.
create table labels (
    event_id text        not null,
    label    smallint    not null check (label in (0, 1)),
    known_at timestamptz not null,
    primary key (event_id, known_at)
);

comment on table labels is 'What an event turned out to be; of several rows an event, the newest known_at counts.';
comment on column labels.event_id is 'The event, as in predictions.';
comment on column labels.label is '1: fraud. 0: not.';
comment on column labels.known_at is 'When this label became known.';
