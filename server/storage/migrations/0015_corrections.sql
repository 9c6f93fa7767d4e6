-- What a number is corrected by, what explains it, and the facts that both make.

-- Corrections are never changed: one that no longer holds is withdrawn, and another takes its place, so that what was in
-- force at any moment can be told: made_at <= then, and not withdrawn by then. A store's own goes before the chain's
-- (store_id NULL), the later day_from before the earlier, the later made before the earlier.
--   staff_rate    value = times an hour that one member of staff comes in through counted doors
--   group_factor  value = visitors to a buying group; in force, groups are visitors / value, not those cameras formed
--   accuracy      value = true / counted crossings of a line (of all door lines where line_id is NULL), from an audit in
--                 which `counted` crossings were counted, `missed` not counted and `invented` counted though there were none
--   excluded      crossings of a line (of all lines where NULL) from starts_at to ends_at, on quarter hours, are no visits
CREATE TABLE correction (
    correction_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_id          text REFERENCES store,
    kind              text NOT NULL CHECK (kind IN ('staff_rate', 'group_factor', 'accuracy', 'excluded')),
    line_id           text REFERENCES line,
    day_from          date,
    day_to            date CHECK (day_to >= day_from),
    starts_at         timestamptz,
    ends_at           timestamptz CHECK (ends_at > starts_at),
    value             numeric CHECK (value >= 0),
    counted           integer CHECK (counted > 0),
    missed            integer CHECK (missed >= 0),
    invented          integer CHECK (invented BETWEEN 0 AND counted),
    reason            text NOT NULL CHECK (reason <> ''),
    made_by           text NOT NULL,
    made_at           timestamptz NOT NULL,
    withdrawn_by      text,
    withdrawn_at      timestamptz CHECK (withdrawn_at >= made_at),
    withdrawn_reason  text,
    CHECK (CASE kind
               WHEN 'excluded' THEN store_id IS NOT NULL AND starts_at IS NOT NULL AND ends_at IS NOT NULL
                                    AND day_from IS NULL AND value IS NULL
               ELSE day_from IS NOT NULL AND value IS NOT NULL AND starts_at IS NULL AND ends_at IS NULL
           END),
    CHECK (kind NOT IN ('staff_rate', 'group_factor') OR line_id IS NULL),
    CHECK (kind <> 'accuracy' OR (store_id IS NOT NULL AND counted IS NOT NULL AND missed IS NOT NULL
                                  AND invented IS NOT NULL)),
    CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL))
);
CREATE INDEX correction_store ON correction (store_id, kind);

-- Who was to be on the floor: a business day's roster is whole. A day without a row is unknown, not unstaffed.
CREATE TABLE roster_day (
    store_id   text NOT NULL REFERENCES store,
    day        date NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamptz NOT NULL,
    PRIMARY KEY (store_id, day)
);

-- `people` may be a fraction: a day's hours without times are spread over its opening hours.
CREATE TABLE roster_shift (
    store_id  text NOT NULL,
    day       date NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at   timestamptz NOT NULL CHECK (ends_at > starts_at),
    people    numeric(9, 6) NOT NULL CHECK (people > 0),
    note      text NOT NULL DEFAULT '',
    FOREIGN KEY (store_id, day) REFERENCES roster_day ON DELETE CASCADE
);
CREATE INDEX roster_shift_day ON roster_shift (store_id, day);

-- Promotions, events and weather of a store, of a region, or (both NULL) of the chain.
ALTER TABLE fact
    ADD COLUMN region        text CHECK (region <> ''),
    ADD COLUMN temperature_c numeric(4, 1),
    ADD COLUMN rain_mm       numeric(6, 1) CHECK (rain_mm >= 0),
    ADD COLUMN entered_by    text NOT NULL DEFAULT '',
    ADD COLUMN entered_at    timestamptz,
    ADD CHECK (store_id IS NULL OR region IS NULL);
-- The same file read twice notes nothing twice.
DELETE FROM fact a
USING fact b
WHERE a.fact_id > b.fact_id AND a.store_id IS NOT DISTINCT FROM b.store_id
  AND (a.kind, a.day_from, a.day_to, a.title) = (b.kind, b.day_from, b.day_to, b.title);
CREATE UNIQUE INDEX fact_once ON fact (coalesce(store_id, ''), coalesce(region, ''), kind, day_from, day_to, title);

-- Opening hours of one date, in place of the weekday's: no span means closed. On the wall calendar, as opening_hours.
CREATE TABLE opening_exception (
    store_id   text NOT NULL REFERENCES store,
    day        date NOT NULL,
    opens      time[] NOT NULL,
    closes     time[] NOT NULL CHECK (cardinality(closes) = cardinality(opens)),
    reason     text NOT NULL DEFAULT '',
    entered_by text NOT NULL,
    entered_at timestamptz NOT NULL,
    PRIMARY KEY (store_id, day)
);
-- Weekday 7 is a public holiday; a set of hours without any leaves holidays to their weekday.
ALTER TABLE opening_hours DROP CONSTRAINT opening_hours_weekday_check;
ALTER TABLE opening_hours ADD CONSTRAINT opening_hours_weekday_check CHECK (weekday BETWEEN 0 AND 7);

-- What the holiday libraries say, overridden: for a whole country (subdivision '') or a part of it (ISO 3166-2 without
-- the country, such as BY). A 'workday' is a weekend day worked in exchange; an 'ordinary' day is neither.
CREATE TABLE holiday (
    country     text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    subdivision text NOT NULL DEFAULT '',
    day         date NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('holiday', 'workday', 'ordinary')),
    name        text NOT NULL DEFAULT '',
    entered_by  text NOT NULL,
    entered_at  timestamptz NOT NULL,
    PRIMARY KEY (country, subdivision, day)
);
ALTER TABLE store ADD COLUMN subdivision text NOT NULL DEFAULT '' CHECK (subdivision ~ '^[A-Z0-9]{0,3}$');

-- Boxes and cameras (camera_id '' is the box itself) that went silent, until they were heard again.
CREATE TABLE silence (
    silence_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_id    text NOT NULL,
    device_id   text NOT NULL,
    camera_id   text NOT NULL DEFAULT '',
    state       text NOT NULL,
    last_heard  timestamptz,
    noticed_at  timestamptz NOT NULL,
    resolved_at timestamptz CHECK (resolved_at >= noticed_at)
);
CREATE UNIQUE INDEX silence_open ON silence (device_id, camera_id) WHERE resolved_at IS NULL;
CREATE INDEX silence_store ON silence (store_id, noticed_at DESC);

-- What they mean stands in server/kpi/models.py.
ALTER TABLE store_day
    ADD COLUMN counted_entries   integer NOT NULL DEFAULT 0,
    ADD COLUMN counted_exits     integer NOT NULL DEFAULT 0,
    ADD COLUMN excluded_quarters integer NOT NULL DEFAULT 0,
    ADD COLUMN excluded_entries  integer NOT NULL DEFAULT 0,
    ADD COLUMN staff_estimated   integer NOT NULL DEFAULT 0,
    ADD COLUMN entries_error     integer NOT NULL DEFAULT 0,
    ADD COLUMN rostered_quarters integer NOT NULL DEFAULT 0,
    ADD COLUMN staff_seconds     integer NOT NULL DEFAULT 0,
    ADD COLUMN star_visitors     integer NOT NULL DEFAULT 0,
    ADD COLUMN star_seconds      integer NOT NULL DEFAULT 0,
    ADD COLUMN dwell_quarters    integer NOT NULL DEFAULT 0,
    ADD COLUMN dwell_visitors    integer NOT NULL DEFAULT 0,
    ADD COLUMN dwell_seconds     integer NOT NULL DEFAULT 0,
    ADD COLUMN checkin_quarters  integer NOT NULL DEFAULT 0,
    ADD COLUMN member_visits     integer NOT NULL DEFAULT 0,
    ADD COLUMN member_buyers     integer NOT NULL DEFAULT 0,
    ADD COLUMN power_milli       integer NOT NULL DEFAULT 0,
    ADD COLUMN imputed_quarters  integer NOT NULL DEFAULT 0,
    ADD COLUMN imputed_entries   integer NOT NULL DEFAULT 0,
    ADD COLUMN imputed_visitors  integer NOT NULL DEFAULT 0,
    ADD COLUMN imputed_seconds   integer NOT NULL DEFAULT 0;
ALTER TABLE store_hour
    ADD COLUMN counted_entries   integer NOT NULL DEFAULT 0,
    ADD COLUMN counted_exits     integer NOT NULL DEFAULT 0,
    ADD COLUMN excluded_quarters integer NOT NULL DEFAULT 0,
    ADD COLUMN excluded_entries  integer NOT NULL DEFAULT 0,
    ADD COLUMN staff_estimated   integer NOT NULL DEFAULT 0,
    ADD COLUMN entries_error     integer NOT NULL DEFAULT 0,
    ADD COLUMN rostered_quarters integer NOT NULL DEFAULT 0,
    ADD COLUMN staff_seconds     integer NOT NULL DEFAULT 0,
    ADD COLUMN star_visitors     integer NOT NULL DEFAULT 0,
    ADD COLUMN star_seconds      integer NOT NULL DEFAULT 0,
    ADD COLUMN dwell_quarters    integer NOT NULL DEFAULT 0,
    ADD COLUMN dwell_visitors    integer NOT NULL DEFAULT 0,
    ADD COLUMN dwell_seconds     integer NOT NULL DEFAULT 0,
    ADD COLUMN checkin_quarters  integer NOT NULL DEFAULT 0,
    ADD COLUMN member_visits     integer NOT NULL DEFAULT 0,
    ADD COLUMN member_buyers     integer NOT NULL DEFAULT 0,
    ADD COLUMN power_milli       integer NOT NULL DEFAULT 0,
    ADD COLUMN imputed_quarters  integer NOT NULL DEFAULT 0,
    ADD COLUMN imputed_entries   integer NOT NULL DEFAULT 0,
    ADD COLUMN imputed_visitors  integer NOT NULL DEFAULT 0,
    ADD COLUMN imputed_seconds   integer NOT NULL DEFAULT 0;

-- Days computed before this have no corrections; the rest of the new facts come when they are computed anew.
UPDATE store_day
SET counted_entries = entries, counted_exits = exits, power_milli = 400 * open_quarters
WHERE superseded_at IS NULL;
UPDATE store_hour
SET counted_entries = entries, counted_exits = exits, power_milli = 400 * open_quarters;
INSERT INTO dirty_mark (store_id, hour, reason)
SELECT store_id, date_trunc('hour', min(hour), 'UTC'), 'migration'
FROM store_hour
GROUP BY store_id, day;
