-- A rollout counts an entity once, also for failures: else one client that always fails looks like many.
comment on column predictions.entity_id is 'Pseudonym from x-entity-id; null without that header and for refused requests (4xx).';
