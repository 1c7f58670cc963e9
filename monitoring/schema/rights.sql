-- Who may do what, in full. Not a numbered step: it is the wanted state, and every `migrate` establishes it again, so
-- that a right somebody added by hand does not stay. Users belong to the whole server, so they may exist already.
do $$
declare
    name text;
begin
    foreach name in array array['stable', 'canary', 'shadow', 'reader', 'labeller', 'trainer', 'rollout', 'drift', 'eraser'] loop
        begin
            execute format('create role %I login', name);
        exception when duplicate_object or unique_violation then
            null; -- another database of this server, or another run at this moment, has made it
        end;
    end loop;

    execute format('revoke all on database %I from public, stable, canary, shadow, reader, labeller, trainer, rollout, drift, eraser', current_database());
    execute format('grant connect on database %I to stable, canary, shadow, reader, labeller, trainer, rollout, drift, eraser', current_database());
    -- A batch that was sent before goes through a temporary table: insert ... select ... on conflict do nothing.
    execute format('grant temporary on database %I to stable, canary, shadow, labeller', current_database());
end
$$;

revoke all on schema public from public, stable, canary, shadow, reader, labeller, trainer, rollout, drift, eraser;
grant usage on schema public to stable, canary, shadow, reader, labeller, trainer, rollout, drift, eraser;

revoke all on all tables in schema public from public, stable, canary, shadow, reader, labeller, trainer, rollout, drift, eraser;

-- A scorer adds rows in its own name: it may not choose `role`, whose default is the user itself, and reads nothing.
grant insert (
    request_id, event_id, entity_id, tag, occurred_at, scored_at, status, fields, score, decision, latency_us
) on predictions to stable, canary, shadow;

grant select on predictions, labels, comparisons, schema_migrations to reader;

-- Reads labels to tell a correction from a repetition, and the names of events, to count the unknown ones.
grant select, insert on labels to labeller;
grant select (event_id) on predictions to labeller;

-- Compares models on what was sent, without seeing what was answered, and adds what it found.
grant select (request_id, event_id, entity_id, role, scored_at, status, fields) on predictions to trainer;
grant insert on comparisons to trainer;

-- Decides about models: reads what was answered, and keeps what it saw and did. It corrects and deletes nothing.
grant select on predictions, labels, comparisons, schema_migrations to rollout;
grant select, insert on rollout_events, rollout_evidence, rollout_counted, rollout_noise to rollout;

-- What rollouts did and saw, without the entities that were counted.
grant select on rollout_events, rollout_evidence, rollout_noise to reader;

-- The label gate's looks.
grant select, insert on rollout_looks to rollout;
grant select on rollout_looks, quality_reports, erasures to reader;

-- The daily job: reads what was answered and what it turned out to be, and adds its reports.
grant select on predictions, labels, schema_migrations to drift;
grant select, insert on quality_reports, drift_reports to drift;
grant select on drift_reports to reader;

-- Erases an entity and can't read anything else of it: it sees names, and deletes.
grant select (entity_id, event_id, scored_at), delete on predictions to eraser;
grant select (event_id), delete on labels to eraser;
grant select (entity), delete on rollout_counted to eraser;
grant insert on erasures to eraser;
grant select, insert, delete on erased to eraser;
