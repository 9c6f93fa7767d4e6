-- What each box is to do, as it was set from afar, and what the box says became of it.

CREATE TABLE device_config (
    device_id   text NOT NULL REFERENCES device,
    -- Rises with every change; a box ignores what is not newer than what it knows.
    revision    integer NOT NULL CHECK (revision > 0),
    camera      jsonb NOT NULL,                       -- as on the wire (wire.config.CameraConfig)
    author      text NOT NULL,
    note        text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    -- What the box said became of it; empty until it said anything.
    state       text CHECK (state IN ('trying', 'applied', 'failed')),
    reason      text NOT NULL DEFAULT '',
    reported_at timestamptz,
    PRIMARY KEY (device_id, revision)
);

-- As the box last said: the revision in use (0: its own file alone), and the newest it knows of. The second may be one
-- that is not above: this database may have come back from a backup, and must not give that number to something else.
ALTER TABLE device
    ADD COLUMN config_used  integer NOT NULL DEFAULT 0 CHECK (config_used >= 0),
    ADD COLUMN config_known integer NOT NULL DEFAULT 0 CHECK (config_known >= 0);
