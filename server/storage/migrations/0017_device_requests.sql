-- What was asked of a box, and its one answer, which may be a picture of a shop: kept for minutes.
-- Unlogged, so that no write-ahead log, no backup made from one and no replica ever holds a picture; a database that
-- crashed has forgotten them, and who needs one asks again. Vacuumed as soon as anything was deleted, so that what was
-- deleted is soon gone from the disk as well.
CREATE UNLOGGED TABLE device_request (
    request_id  text PRIMARY KEY,
    device_id   text NOT NULL REFERENCES device,
    store_id    text NOT NULL REFERENCES store,
    camera_id   text NOT NULL,                        -- as it was asked for; the box knows whether it has it
    kind        text NOT NULL CHECK (kind IN ('snapshot', 'paths', 'line_test')),
    asked_by    text NOT NULL,
    asked_at    timestamptz NOT NULL,
    waits_until timestamptz NOT NULL,
    keep_until  timestamptz NOT NULL,
    answered_at timestamptz,
    given       bytea                                 -- as on the wire (wire.asking.Given)
) WITH (
    autovacuum_vacuum_threshold = 0,
    autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_threshold = 0,
    toast.autovacuum_vacuum_scale_factor = 0
);
CREATE INDEX device_request_device ON device_request (device_id);
