-- What the boxes report. Nothing here has a unique index on raw rows: the cursor makes every record apply once.

-- How far each epoch of a device is committed. Never purged: a number at or below the cursor is never applied again.
CREATE TABLE ingest_cursor (
    device_id  text NOT NULL,
    epoch      text NOT NULL,
    store_id   text NOT NULL,
    seq        bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device_id, epoch)
);

CREATE TABLE crossing (
    at          timestamptz NOT NULL,
    store_id    text NOT NULL,
    camera_id   text NOT NULL,
    line_id     text NOT NULL,
    direction   text NOT NULL CHECK (direction IN ('in', 'out')),
    class       text NOT NULL CHECK (class IN ('adult', 'child', 'staff')),
    opens_group boolean NOT NULL,
    track       bigint NOT NULL,
    confidence  real NOT NULL,
    tags        text[] NOT NULL,
    undated     boolean NOT NULL,
    device_id   text NOT NULL,
    epoch       text NOT NULL,
    seq         bigint NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX crossing_store_at ON crossing (store_id, at DESC);

CREATE TABLE coverage (
    minute      timestamptz NOT NULL,
    store_id    text NOT NULL,
    camera_id   text NOT NULL,
    seconds     numeric(4, 1) NOT NULL,
    frames      integer NOT NULL,
    state       text NOT NULL,
    undated     boolean NOT NULL,
    device_id   text NOT NULL,
    epoch       text NOT NULL,
    seq         bigint NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX coverage_camera_minute ON coverage (camera_id, minute DESC);

-- Sums that stand for records folded on a full disk. Kept whole, so that the roll-up can be recomputed.
CREATE TABLE tally (
    received_at timestamptz NOT NULL,
    store_id    text NOT NULL,
    device_id   text NOT NULL,
    epoch       text NOT NULL,
    from_seq    bigint NOT NULL,
    seq         bigint NOT NULL,
    payload     jsonb NOT NULL
);

-- The exact roll-up by UTC quarter hour, upserted in the transaction that wrote the rows.
CREATE TABLE traffic_15m (
    store_id  text NOT NULL,
    quarter   timestamptz NOT NULL,
    line_id   text NOT NULL,
    direction text NOT NULL,
    class     text NOT NULL,
    count     integer NOT NULL,
    groups    integer NOT NULL,
    PRIMARY KEY (store_id, quarter, line_id, direction, class)
);

-- Seconds watched in each of the quarter's fifteen minutes, each capped at 60; `seconds` is their sum.
CREATE TABLE coverage_15m (
    store_id       text NOT NULL,
    camera_id      text NOT NULL,
    quarter        timestamptz NOT NULL,
    minute_seconds numeric(4, 1)[] NOT NULL CHECK (cardinality(minute_seconds) = 15),
    seconds        numeric(5, 1) NOT NULL,
    state          text NOT NULL DEFAULT 'ok',
    PRIMARY KEY (store_id, quarter, camera_id)
);

-- Records put aside in the transaction that moved the cursor past them.
CREATE TABLE dead_letter (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id      text NOT NULL,
    epoch          text NOT NULL,
    seq            bigint,
    store_id       text NOT NULL,
    code           text NOT NULL,
    reason         text NOT NULL,
    payload        text NOT NULL,
    received_at    timestamptz NOT NULL,
    retried_at     timestamptz,
    dropped_at     timestamptz
);

-- Sequence numbers that no longer exist anywhere: lost, in numbers.
CREATE TABLE lost_range (
    lost_range_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id     text NOT NULL,
    epoch         text NOT NULL,
    store_id      text NOT NULL,
    from_seq      bigint NOT NULL,
    to_seq        bigint NOT NULL,
    noticed_at    timestamptz NOT NULL
);
