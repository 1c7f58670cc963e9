-- What labels say of a model that served: append-only. Of several rows of one tag and one window the newest counts:
-- labels go on coming, and a later run sees more of them.
create table quality_reports (
    id          bigint           generated always as identity primary key,
    made_at     timestamptz      not null,
    tag         text             not null,
    window_from date             not null,
    window_end  date             not null check (window_end > window_from),
    verdict     text             not null check (verdict in ('MISSING_DATA', 'INSUFFICIENT_DATA', 'QUALITY_LOSS', 'OK')),
    events      bigint           not null,
    labelled    bigint           not null,
    positives   bigint           not null,
    pr_auc      double precision,
    quality_limit      double precision,
    reason      text             not null,
    numbers     jsonb            not null
);

create index quality_reports_newest on quality_reports (tag, window_end desc, made_at desc);

comment on table quality_reports is 'What matured labels say of a model: one row a run.';
comment on column quality_reports.tag is 'The model: risk_scorer:<version>.';
comment on column quality_reports.window_from is 'First UTC day, by occurred_at.';
comment on column quality_reports.window_end is 'The day after the last one.';
comment on column quality_reports.verdict is 'MISSING_DATA: no label. INSUFFICIENT_DATA: too few. QUALITY_LOSS: pr_auc is below quality_limit. OK.';
comment on column quality_reports.events is 'Events that the model answered as stable or canary in the window.';
comment on column quality_reports.labelled is 'Those whose label is known.';
comment on column quality_reports.positives is 'Those known to be fraud.';
comment on column quality_reports.pr_auc is 'Area under precision and recall at the evaluation''s share of positives: what the verdict rests on.';
comment on column quality_reports.quality_limit is 'min(base - 3 sd, .85 base): below it is QUALITY_LOSS.';
comment on column quality_reports.reason is 'The verdict in a sentence.';
comment on column quality_reports.numbers is 'All of it: monitoring.quality.QualityReport.';

-- The looks of a rollout's label gate: planned beforehand, made once each, whatever dies in between.
create table rollout_looks (
    attempt text        not null,
    number  integer     not null check (number >= 1),
    look    jsonb       not null,
    made_at timestamptz not null,
    primary key (attempt, number)
);

comment on table rollout_looks is 'Looks at the labelled pairs of a rollout, once each.';
comment on column rollout_looks.number is 'From 1 on, by the plan''s numbers of positives.';
comment on column rollout_looks.look is 'k8s.rollout.labelled.Look.';

-- That an entity was erased, without naming it.
create table erasures (
    id        bigint      generated always as identity primary key,
    erased_at timestamptz not null,
    counts    jsonb       not null
);

comment on table erasures is 'Erasures on request: when, and how many rows of which table.';

-- A scorer's spool may bring rows of an erased entity afterwards. A keyed hash finds them again; without the key, which
-- is not in this database, nobody can tell from it whom it is of. It goes when no spool can be as old any more.
create table erased (
    digest    bytea       not null check (length(digest) = 32),
    erased_at timestamptz not null,
    until     timestamptz not null,
    primary key (digest, erased_at)
);

comment on table erased is 'Entities erased a short time ago: rows that were scored before that and come late are erased, too.';
comment on column erased.digest is 'HMAC-SHA-256 of the entity with MONITORING_ERASURE_KEY.';
