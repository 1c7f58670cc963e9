-- What `training compare` found before a model was proposed: append-only. A rollout takes its prediction of the live
-- difference from the newest row of (stable, candidate), and holds when that row is older than a day.
-- Flips and score differences count one event an entity, as the shadow does; the columns are null without a prediction.
create table comparisons (
    id                  bigint           generated always as identity primary key,
    stable              text             not null,
    candidate           text             not null,
    made_at             timestamptz      not null,
    verdict             text             not null
        check (verdict in ('accepted', 'needs approval', 'not good enough', 'not enough data')),
    inputs_from         timestamptz,
    inputs_until        timestamptz,
    entities            integer          check (entities > 0),
    net_flips           double precision,
    net_flips_se        double precision,
    score_difference    double precision,
    score_difference_se double precision,
    flagged_ratio       double precision,
    numbers             jsonb            not null
);

create index comparisons_newest on comparisons (stable, candidate, made_at desc);

comment on table comparisons is 'What comparing a candidate with the stable model found, and how it should differ live.';
comment on column comparisons.stable is 'The model that serves: risk_scorer:<version>.';
comment on column comparisons.candidate is 'The model that is to replace it: risk_scorer:<version>.';
comment on column comparisons.made_at is 'When it was compared; a prediction is stale after a day.';
comment on column comparisons.verdict is 'accepted, needs approval, not good enough, or not enough data.';
comment on column comparisons.inputs_from is 'When the first of the logged inputs was scored.';
comment on column comparisons.inputs_until is 'When the last of the logged inputs was scored.';
comment on column comparisons.entities is 'Entities of the prediction: one event each, its first.';
comment on column comparisons.net_flips is 'Mean of (candidate flags) - (stable flags) over entities: -1 to 1.';
comment on column comparisons.net_flips_se is 'Its standard error.';
comment on column comparisons.score_difference is 'Mean of candidate''s score - stable''s score over entities.';
comment on column comparisons.score_difference_se is 'Its standard error.';
comment on column comparisons.flagged_ratio is 'Entities that the candidate flags for each one that stable flags; null when it flags none.';
comment on column comparisons.numbers is 'The whole comparison: training.comparison.ModelComparison.';
