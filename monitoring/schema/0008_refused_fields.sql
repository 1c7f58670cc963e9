-- Drift counts what was refused by field; a value that was refused is still never stored.
comment on column predictions.fields is 'The event''s features as sent; for refused requests an array with the names of the wrong ones.';
