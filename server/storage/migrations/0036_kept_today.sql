-- What a running day is compared with, kept beside it: an earlier day of the store up to the same minute of its clock.
-- A store's today and this are written in one transaction and carry the same `computed_at`, so that a question about a
-- thousand stores reads two rows of each and compares like with like. One row a store and distance: the day moves on.
CREATE TABLE store_day_beside (
    LIKE store_day INCLUDING DEFAULTS,
    shift integer NOT NULL CHECK (shift > 0),
    PRIMARY KEY (store_id, shift)
);
ALTER TABLE store_day_beside
    DROP COLUMN version,
    DROP COLUMN superseded_at,
    DROP COLUMN provisional;

-- Rows of days that were still running when they were computed: how old the oldest of an answer is.
CREATE INDEX store_day_running ON store_day (day, store_id) WHERE superseded_at IS NULL AND provisional;
