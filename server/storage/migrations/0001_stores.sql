-- Stores and what belongs to them. Whatever bears on a number has a time of validity, so that a day is always
-- computed with what was in force on it.

CREATE TABLE store (
    store_id   text PRIMARY KEY,
    name       text NOT NULL,
    region     text NOT NULL DEFAULT '',
    country    text NOT NULL DEFAULT 'CN' CHECK (country ~ '^[A-Z]{2}$'),
    currency   text NOT NULL DEFAULT 'CNY' CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- In force from the business day `valid_from` until the next row of the store.
CREATE TABLE store_calendar (
    store_id   text NOT NULL REFERENCES store,
    valid_from date NOT NULL,
    timezone   text NOT NULL,
    day_starts time NOT NULL DEFAULT '04:00',
    PRIMARY KEY (store_id, valid_from)
);

-- Opening hours of a weekday (0 = Monday) in force from `valid_from`; several spans a day are allowed, none means
-- closed. `closes` at or before `opens` means past midnight. A set is whole: the rows of the latest `valid_from` count.
CREATE TABLE opening_hours (
    store_id   text NOT NULL REFERENCES store,
    valid_from date NOT NULL,
    weekday    smallint NOT NULL CHECK (weekday BETWEEN 0 AND 6),
    opens      time NOT NULL,
    closes     time NOT NULL,
    PRIMARY KEY (store_id, valid_from, weekday, opens)
);

-- Settings that bear on a KPI: coverage_threshold, staff_rate, group_factor. Store '' is the chain's default.
CREATE TABLE kpi_setting (
    store_id   text NOT NULL,
    key        text NOT NULL,
    valid_from date NOT NULL,
    value      numeric NOT NULL,
    changed_by text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store_id, key, valid_from)
);

-- The register of cameras: coverage is due from what is installed, not from what reports.
CREATE TABLE camera (
    camera_id    text PRIMARY KEY,
    store_id     text NOT NULL REFERENCES store,
    name         text NOT NULL,
    installed_at timestamptz NOT NULL,
    removed_at   timestamptz CHECK (removed_at > installed_at)
);
CREATE INDEX camera_store ON camera (store_id);

CREATE TABLE line (
    line_id   text PRIMARY KEY,
    camera_id text NOT NULL REFERENCES camera,
    store_id  text NOT NULL REFERENCES store,
    name      text NOT NULL,
    kind      text NOT NULL DEFAULT 'door' CHECK (kind IN ('door', 'street', 'interior'))
);
CREATE INDEX line_store ON line (store_id);

-- A box. Its name is its broker user name; its store is the server's knowledge, bound to each epoch when it begins.
CREATE TABLE device (
    device_id   text PRIMARY KEY,
    store_id    text NOT NULL REFERENCES store,
    secret_hash text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,
    status      jsonb,
    status_at   timestamptz,
    skew_ms     integer
);

-- What explains a number: promotions, weather, events; shown as marks on charts.
CREATE TABLE fact (
    fact_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_id text REFERENCES store,
    kind     text NOT NULL CHECK (kind IN ('promotion', 'weather', 'event')),
    day_from date NOT NULL,
    day_to   date NOT NULL CHECK (day_to >= day_from),
    title    text NOT NULL,
    detail   text NOT NULL DEFAULT ''
);
CREATE INDEX fact_days ON fact (day_from, day_to);

-- Hours of the business (UTC) whose joined facts must be computed anew. Appended by whoever writes facts; the job
-- deletes just the marks it read, so a mark made meanwhile is never lost.
CREATE TABLE dirty_mark (
    mark_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_id  text NOT NULL,
    hour      timestamptz NOT NULL,
    reason    text NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now()
);
