-- The joined facts in the store's own business day. A day's rows are versioned: the latest version is the answer, an
-- earlier one says what was answered before.

CREATE TABLE store_day (
    store_id         text NOT NULL,
    day              date NOT NULL,
    version          integer NOT NULL,
    computed_at      timestamptz NOT NULL,
    superseded_at    timestamptz,
    facts            jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (store_id, day, version)
);
CREATE UNIQUE INDEX store_day_current ON store_day (store_id, day) WHERE superseded_at IS NULL;

CREATE TABLE store_hour (
    store_id text NOT NULL,
    hour     timestamptz NOT NULL,
    day      date NOT NULL,
    facts    jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (store_id, hour)
);
CREATE INDEX store_hour_day ON store_hour (store_id, day);
