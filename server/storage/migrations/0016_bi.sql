-- What other programs read (Grafana, Metabase, Power BI, Excel), and since when raw rows are whole.

-- From when on raw rows (crossing, coverage) are whole: older ones may have been deleted. NULL: none ever was.
CREATE TABLE raw_retention (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    floor timestamptz
);
INSERT INTO raw_retention DEFAULT VALUES;

-- A promise to programs that are not ours: docs/bi.md has every column, and a test holds the two together. Columns are
-- added, never taken away or changed. Who a member is, who sold and who signed in is in none of them: a reader of this
-- schema needs no right to any table, for a view reads with the rights of its owner.
CREATE SCHEMA bi;

CREATE VIEW bi.stores AS
SELECT
    s.store_id,
    s.name AS store,
    s.region,
    s.country,
    s.currency,
    c.timezone,
    c.day_starts,
    s.created_at
FROM store s
LEFT JOIN LATERAL (
    SELECT timezone, day_starts FROM store_calendar WHERE store_id = s.store_id AND valid_from <= current_date
    ORDER BY valid_from DESC LIMIT 1
) c ON true;

CREATE VIEW bi.store_days AS
SELECT
    d.store_id,
    s.name AS store,
    s.region,
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
WHERE d.superseded_at IS NULL;

CREATE VIEW bi.store_hours AS
SELECT
    d.store_id,
    s.name AS store,
    s.region,
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
JOIN store s USING (store_id);

CREATE VIEW bi.traffic AS
SELECT
    t.store_id,
    t.quarter,
    t.line_id,
    l.name AS line,
    l.kind AS line_kind,
    l.camera_id,
    t.direction,
    t.class,
    t.count AS crossings,
    t.groups
FROM traffic_15m t
LEFT JOIN line l USING (line_id);

CREATE VIEW bi.camera_quarters AS
SELECT
    v.store_id,
    v.camera_id,
    c.name AS camera,
    v.quarter,
    v.seconds AS watched_seconds,
    v.late_seconds,
    v.state
FROM coverage_15m v
LEFT JOIN camera c USING (camera_id);

CREATE VIEW bi.cameras AS
SELECT
    c.camera_id,
    c.store_id,
    c.name AS camera,
    c.installed_at,
    c.removed_at
FROM camera c;

CREATE VIEW bi.lines AS
SELECT
    l.line_id,
    l.camera_id,
    l.store_id,
    l.name AS line,
    l.kind
FROM line l;

CREATE VIEW bi.boxes AS
SELECT
    b.device_id,
    b.store_id,
    b.created_at,
    b.revoked_at AS ended_at,
    coalesce((b.status ->> 'online')::boolean, false) AS is_online,
    b.status_at AS heard_at,
    (b.status ->> 'pending')::bigint AS pending,
    (b.status ->> 'lost')::bigint AS lost,
    coalesce(b.status ->> 'problem', '') AS problem,
    b.skew_ms AS clock_ahead_ms
FROM device b;

CREATE VIEW bi.silences AS
SELECT
    q.store_id,
    q.device_id,
    q.camera_id,
    q.state,
    q.last_heard,
    q.noticed_at,
    q.resolved_at
FROM silence q;

CREATE VIEW bi.lost_records AS
SELECT
    r.store_id,
    r.device_id,
    r.to_seq - r.from_seq + 1 AS records,
    r.noticed_at,
    r.starts_at,
    r.ends_at
FROM lost_range r;

CREATE VIEW bi.receipts AS
SELECT
    r.store_id,
    r.receipt_no,
    r.kind,
    r.channel,
    r.at,
    r.currency,
    r.gross,
    r.units,
    r.voided_at IS NOT NULL AS is_voided,
    r.member_id IS NOT NULL AS is_member,
    r.received_at
FROM receipt r;

CREATE VIEW bi.members AS
SELECT
    m.home_store AS store_id,
    (m.enrolled_at AT TIME ZONE
        (SELECT c.timezone FROM store_calendar c WHERE c.store_id = m.home_store AND c.valid_from <= m.enrolled_at::date
         ORDER BY c.valid_from DESC LIMIT 1))::date AS day,
    m.tier,
    count(*) AS members
FROM member m
WHERE m.erased_at IS NULL
GROUP BY 1, 2, 3;

CREATE VIEW bi.marks AS
SELECT
    f.fact_id AS mark_id,
    f.store_id,
    f.region,
    f.kind,
    f.day_from,
    f.day_to,
    f.title,
    f.temperature_c,
    f.rain_mm
FROM fact f;

CREATE VIEW bi.job_runs AS
SELECT
    j.job,
    j.started_at,
    j.finished_at,
    j.outcome,
    j.runs
FROM job_run j;
