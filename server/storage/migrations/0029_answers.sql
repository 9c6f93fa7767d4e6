-- An earlier answer by the hour, what an audit leaves open by audit, and how stores are sorted by time.

-- Hours carry the version of their day from which on they stand; those that a later version replaced are kept beside,
-- with the version that no longer has them. So a version's hours are all there, and only what changed is there twice.
ALTER TABLE store_hour ADD COLUMN since_version integer NOT NULL DEFAULT 1;
UPDATE store_hour h
SET since_version = d.version
FROM store_day d
WHERE d.store_id = h.store_id AND d.day = h.day AND d.superseded_at IS NULL AND d.version > 1;

-- By audit (number of its correction), its part of entries_error; NULL without any. Errors of one audit add up however
-- many days it is in force, those of different audits are independent of each other: see server/kpi/figures/widening.py.
ALTER TABLE store_day ADD COLUMN audit_errors jsonb;
ALTER TABLE store_hour ADD COLUMN audit_errors jsonb;
CREATE INDEX store_day_audited ON store_day (day, store_id) WHERE audit_errors IS NOT NULL AND superseded_at IS NULL;

CREATE TABLE store_hour_past (
    LIKE store_hour INCLUDING DEFAULTS,
    until_version integer NOT NULL,
    PRIMARY KEY (store_id, day, hour, since_version),
    CHECK (until_version > since_version)
);

INSERT INTO dirty_mark (store_id, hour, reason)
SELECT h.store_id, date_trunc('hour', min(h.hour), 'UTC'), 'migration'
FROM store_hour h
JOIN store_day d ON d.store_id = h.store_id AND d.day = h.day AND d.superseded_at IS NULL
WHERE d.entries_error > 0
GROUP BY h.store_id, h.day;

-- Format and tags from a business day on: a report over last year must not move when an outlet becomes a flagship.
CREATE TABLE store_label (
    store_id   text NOT NULL REFERENCES store,
    valid_from date NOT NULL,
    format     text NOT NULL DEFAULT '',
    tags       text[] NOT NULL DEFAULT '{}',
    changed_by text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store_id, valid_from)
);
INSERT INTO store_label (store_id, valid_from, format, tags)
SELECT store_id, '2000-01-01', format, tags
FROM store
WHERE format <> '' OR tags <> '{}';

CREATE OR REPLACE VIEW bi.stores AS
SELECT
    s.store_id,
    s.name AS store,
    s.region,
    s.country,
    s.currency,
    c.timezone,
    c.day_starts,
    s.created_at,
    coalesce(l.format, '') AS format,
    coalesce(l.tags, '{}') AS tags
FROM store s
LEFT JOIN LATERAL (
    SELECT timezone, day_starts FROM store_calendar WHERE store_id = s.store_id AND valid_from <= current_date
    ORDER BY valid_from DESC LIMIT 1
) c ON true
LEFT JOIN LATERAL (
    SELECT format, tags FROM store_label WHERE store_id = s.store_id AND valid_from <= current_date
    ORDER BY valid_from DESC LIMIT 1
) l ON true;
ALTER TABLE store
    DROP COLUMN format,
    DROP COLUMN tags;
