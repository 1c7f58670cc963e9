-- What each day looked like beside the reference of the model that served it: append-only. A day that is judged again
-- is a new row, and the newest one counts; nobody may change what was said before.
create table drift_reports (
    id            bigint      generated always as identity primary key,
    day           date        not null,
    tag           text        not null,
    judged_at     timestamptz not null,
    verdict       text        not null
        check (verdict in ('MISSING_DATA', 'INSUFFICIENT_DATA', 'DATA_FAULT', 'DRIFT', 'OK')),
    reason        text        not null,
    rows          bigint      not null,
    sampled       bigint      not null,
    refused       bigint      not null,
    refused_share double precision not null,
    refused_limit double precision not null,
    late_rows     bigint      not null,
    fields        jsonb       not null,
    counts        jsonb       not null
);

create index drift_reports_newest on drift_reports (day, id desc);

comment on table drift_reports is 'Days compared with the reference of their stable model; of several rows a day, the newest counts.';
comment on column drift_reports.day is 'The UTC day, by occurred_at.';
comment on column drift_reports.tag is 'The model whose reference it was compared with: risk_scorer:<version>.';
comment on column drift_reports.verdict is 'MISSING_DATA, INSUFFICIENT_DATA, DATA_FAULT, DRIFT or OK: tried in this order.';
comment on column drift_reports.reason is 'The verdict in a sentence.';
comment on column drift_reports.rows is 'Scored rows of stable and canary.';
comment on column drift_reports.sampled is 'Those whose values were counted; fewer than rows on a day above the limit.';
comment on column drift_reports.refused is 'Requests of the day, by scored_at, that were refused for what was sent (4xx).';
comment on column drift_reports.late_rows is 'Rows that came between 6:00 of this day and 6:00 of the next for days that were closed by then.';
comment on column drift_reports.fields is 'Each field''s numbers: monitoring.drift.FieldReport.';
comment on column drift_reports.counts is 'What was counted: bins, missing, unseen and refused of each field; enough to judge again.';
