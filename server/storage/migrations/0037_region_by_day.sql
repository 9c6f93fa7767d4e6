-- A region from a business day on, as format and tags have it: a store that moves keeps its past in the old one. What
-- each store is known to be in now has held ever since, until somebody says otherwise.
ALTER TABLE store_label ADD COLUMN region text NOT NULL DEFAULT '';
UPDATE store_label l
SET region = s.region
FROM store s
WHERE s.store_id = l.store_id;
INSERT INTO store_label (store_id, valid_from, region)
SELECT store_id, '2000-01-01', region
FROM store
WHERE region <> ''
ON CONFLICT (store_id, valid_from) DO NOTHING;

CREATE OR REPLACE VIEW bi.stores AS
SELECT
    s.store_id,
    s.name AS store,
    coalesce(l.region, '') AS region,
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
    SELECT region, format, tags FROM store_label WHERE store_id = s.store_id AND valid_from <= current_date
    ORDER BY valid_from DESC LIMIT 1
) l ON true;

CREATE OR REPLACE VIEW bi.store_days AS
SELECT
    d.store_id,
    s.name AS store,
    coalesce(r.region, '') AS region,
    s.currency,
    d.day,
    extract(isodow FROM d.day)::integer AS weekday,
    d.provisional AS is_provisional,
    d.computed_at,
    d.open_quarters / 4.0 AS open_hours,
    d.entries,
    d.exits,
    d.staff_entries,
    d.entries - d.staff_entries AS visitors,
    d.child_entries,
    d.groups,
    d.passers_by,
    d.counted_entries,
    d.excluded_entries,
    d.imputed_visitors,
    d.due_ms / 1000.0 AS due_seconds,
    d.observed_ms / 1000.0 AS observed_seconds,
    d.required_ms / 1000.0 AS required_seconds,
    round(d.observed_ms::numeric / nullif(d.due_ms, 0), 6) AS coverage,
    d.due_ms > 0 AND d.observed_ms >= d.required_ms AS is_covered,
    d.transactions,
    d.gross_sales,
    d.refund_count,
    d.refunds,
    d.gross_sales - d.refunds AS net_sales,
    d.units,
    d.member_transactions,
    d.member_sales,
    d.matched_visitors,
    d.matched_groups,
    d.matched_transactions,
    d.matched_sales,
    CASE WHEN d.due_ms > 0 AND d.observed_ms >= d.required_ms
         THEN round(d.matched_transactions::numeric / nullif(d.matched_visitors, 0), 6) END AS conversion,
    round(d.gross_sales / nullif(d.transactions, 0), 2) AS atv,
    d.capture_entries,
    d.capture_passers_by,
    d.occupancy_peak,
    d.drift,
    d.dwell_visitors,
    d.dwell_seconds,
    round(d.staff_seconds / 3600.0, 4) AS staff_hours,
    d.star_visitors,
    round(d.star_seconds / 3600.0, 4) AS star_hours,
    d.member_visits,
    d.member_buyers
FROM store_day d
JOIN store s USING (store_id)
LEFT JOIN LATERAL (
    SELECT region FROM store_label l WHERE l.store_id = d.store_id AND l.valid_from <= d.day
    ORDER BY l.valid_from DESC LIMIT 1
) r ON true
WHERE d.superseded_at IS NULL;

CREATE OR REPLACE VIEW bi.store_hours AS
SELECT
    d.store_id,
    s.name AS store,
    coalesce(r.region, '') AS region,
    s.currency,
    d.day,
    extract(isodow FROM d.day)::integer AS weekday,
    d.hour,
    d.hour AT TIME ZONE
        (SELECT c.timezone FROM store_calendar c WHERE c.store_id = d.store_id AND c.valid_from <= d.day
         ORDER BY c.valid_from DESC LIMIT 1) AS hour_local,
    d.local_hour,
    d.open_quarters / 4.0 AS open_hours,
    d.entries,
    d.exits,
    d.staff_entries,
    d.entries - d.staff_entries AS visitors,
    d.child_entries,
    d.groups,
    d.passers_by,
    d.counted_entries,
    d.excluded_entries,
    d.imputed_visitors,
    d.due_ms / 1000.0 AS due_seconds,
    d.observed_ms / 1000.0 AS observed_seconds,
    d.required_ms / 1000.0 AS required_seconds,
    round(d.observed_ms::numeric / nullif(d.due_ms, 0), 6) AS coverage,
    d.due_ms > 0 AND d.observed_ms >= d.required_ms AS is_covered,
    d.transactions,
    d.gross_sales,
    d.refund_count,
    d.refunds,
    d.gross_sales - d.refunds AS net_sales,
    d.units,
    d.member_transactions,
    d.member_sales,
    d.matched_visitors,
    d.matched_groups,
    d.matched_transactions,
    d.matched_sales,
    CASE WHEN d.due_ms > 0 AND d.observed_ms >= d.required_ms
         THEN round(d.matched_transactions::numeric / nullif(d.matched_visitors, 0), 6) END AS conversion,
    round(d.gross_sales / nullif(d.transactions, 0), 2) AS atv,
    d.capture_entries,
    d.capture_passers_by,
    d.occupancy_peak,
    d.drift,
    d.dwell_visitors,
    d.dwell_seconds,
    round(d.staff_seconds / 3600.0, 4) AS staff_hours,
    d.star_visitors,
    round(d.star_seconds / 3600.0, 4) AS star_hours,
    d.member_visits,
    d.member_buyers
FROM store_hour d
JOIN store s USING (store_id)
LEFT JOIN LATERAL (
    SELECT region FROM store_label l WHERE l.store_id = d.store_id AND l.valid_from <= d.day
    ORDER BY l.valid_from DESC LIMIT 1
) r ON true;

ALTER TABLE store DROP COLUMN region;

-- Pages of headquarters as somebody set them out, to come back to: an address of ours and the name they gave it.
CREATE TABLE saved_view (
    view_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    name       text NOT NULL CHECK (name <> ''),
    address    text NOT NULL CHECK (address LIKE '/hq%'),
    created_at timestamptz NOT NULL,
    UNIQUE (user_id, name)
);
