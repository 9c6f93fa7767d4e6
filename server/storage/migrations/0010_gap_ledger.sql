-- What the gap ledger can't compute afterwards: what came late, between when and when lost numbers lay, and since when a
-- box was not heard.

-- Of `seconds`, those that came later than a quarter hour after their minute: each quarter capped, so that the order in
-- which they come does not matter.
ALTER TABLE coverage_15m
    ADD COLUMN late_seconds numeric(4, 1) NOT NULL DEFAULT 0 CHECK (late_seconds BETWEEN 0 AND 900);

-- The time of the last record taken of an epoch: what is lost behind it happened after it.
ALTER TABLE ingest_cursor ADD COLUMN last_at timestamptz;

ALTER TABLE lost_range
    ADD COLUMN starts_at timestamptz,
    ADD COLUMN ends_at   timestamptz CHECK (ends_at >= starts_at);
CREATE INDEX lost_range_store ON lost_range (store_id, noticed_at);

-- A box as it was heard: one row whenever it comes, goes, or says that it lost records. `lost` is its own count since
-- its outbox was made.
CREATE TABLE device_event (
    event_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id text NOT NULL,
    store_id  text NOT NULL,
    at        timestamptz NOT NULL,
    online    boolean NOT NULL,
    lost      bigint NOT NULL
);
CREATE INDEX device_event_device ON device_event (device_id, at);
CREATE INDEX device_event_store ON device_event (store_id, at);
