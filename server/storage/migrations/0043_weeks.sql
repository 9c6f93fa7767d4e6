-- A week of each store as a whole: the sum of its days' rows that stand, Monday to Sunday. A month of a thousand stores
-- is read from ten rows of each rather than from thirty, and adds up to the same: these sums know no order. What is true
-- are the rows of days: whatever statement changes one has its week added up anew, so that nobody ever sees the two
-- apart. A row's store and day never change, and the table is never truncated alone.
CREATE TABLE store_week (
    week date NOT NULL CHECK (extract(isodow FROM week) = 1),
    days integer NOT NULL CHECK (days BETWEEN 1 AND 7),
    LIKE store_day INCLUDING DEFAULTS,
    PRIMARY KEY (week, store_id)
) WITH (fillfactor = 70);
ALTER TABLE store_week
    DROP COLUMN day,
    DROP COLUMN version,
    DROP COLUMN computed_at,
    DROP COLUMN superseded_at,
    DROP COLUMN provisional,
    DROP COLUMN occupancy,
    DROP COLUMN occupancy_peak,
    DROP COLUMN drift,
    DROP COLUMN audit_errors,
    -- Seconds of many people or cameras at once.
    ALTER COLUMN staff_seconds TYPE bigint,
    ALTER COLUMN star_seconds TYPE bigint,
    ALTER COLUMN dwell_seconds TYPE bigint,
    ALTER COLUMN imputed_seconds TYPE bigint,
    -- With as many digits in front of the point as it takes.
    ALTER COLUMN gross_sales TYPE numeric,
    ALTER COLUMN sales_squares TYPE numeric,
    ALTER COLUMN units TYPE numeric,
    ALTER COLUMN units_squares TYPE numeric,
    ALTER COLUMN refunds TYPE numeric,
    ALTER COLUMN member_sales TYPE numeric,
    ALTER COLUMN member_squares TYPE numeric,
    ALTER COLUMN matched_sales TYPE numeric,
    ALTER COLUMN matched_squares TYPE numeric;

CREATE FUNCTION add_up_weeks(of_stores text[], of_weeks date[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM store_week k
    USING unnest(of_stores, of_weeks) AS t (store_id, week)
    WHERE k.week = t.week AND k.store_id = t.store_id AND NOT EXISTS (
        SELECT FROM store_day d
        WHERE d.store_id = t.store_id AND d.day BETWEEN t.week AND t.week + 6 AND d.superseded_at IS NULL
    );
    INSERT INTO store_week AS k (
        week, days, store_id,
        open_quarters, entries, exits, staff_entries, child_entries, groups, passers_by, all_in, all_out,
        camera_quarters, due_ms, observed_ms, required_ms, street_quarters, till_quarters, transactions, gross_sales,
        sales_squares, units, units_squares, refund_count, refunds, member_transactions, member_sales, member_squares,
        matched_quarters, matched_visitors, matched_groups, matched_transactions, matched_sales, matched_squares,
        other_transactions, other_visitors, capture_quarters, capture_entries, capture_passers_by, counted_entries,
        counted_exits, excluded_quarters, excluded_entries, staff_estimated, entries_error, rostered_quarters,
        staff_seconds, star_visitors, star_seconds, dwell_quarters, dwell_visitors, dwell_seconds, checkin_quarters,
        member_visits, member_buyers, power_milli, imputed_quarters, imputed_entries, imputed_visitors,
        imputed_seconds
    )
    SELECT
        t.week, count(*), t.store_id,
        sum(d.open_quarters), sum(d.entries), sum(d.exits), sum(d.staff_entries), sum(d.child_entries), sum(d.groups),
        sum(d.passers_by), sum(d.all_in), sum(d.all_out), sum(d.camera_quarters), sum(d.due_ms), sum(d.observed_ms),
        sum(d.required_ms), sum(d.street_quarters), sum(d.till_quarters), sum(d.transactions), sum(d.gross_sales),
        sum(d.sales_squares), sum(d.units), sum(d.units_squares), sum(d.refund_count), sum(d.refunds),
        sum(d.member_transactions), sum(d.member_sales), sum(d.member_squares), sum(d.matched_quarters),
        sum(d.matched_visitors), sum(d.matched_groups), sum(d.matched_transactions), sum(d.matched_sales),
        sum(d.matched_squares), sum(d.other_transactions), sum(d.other_visitors), sum(d.capture_quarters),
        sum(d.capture_entries), sum(d.capture_passers_by), sum(d.counted_entries), sum(d.counted_exits),
        sum(d.excluded_quarters), sum(d.excluded_entries), sum(d.staff_estimated), sum(d.entries_error),
        sum(d.rostered_quarters), sum(d.staff_seconds), sum(d.star_visitors), sum(d.star_seconds),
        sum(d.dwell_quarters), sum(d.dwell_visitors), sum(d.dwell_seconds), sum(d.checkin_quarters),
        sum(d.member_visits), sum(d.member_buyers), sum(d.power_milli), sum(d.imputed_quarters),
        sum(d.imputed_entries), sum(d.imputed_visitors), sum(d.imputed_seconds)
    FROM unnest(of_stores, of_weeks) AS t (store_id, week)
    JOIN store_day d ON d.store_id = t.store_id AND d.day BETWEEN t.week AND t.week + 6 AND d.superseded_at IS NULL
    GROUP BY t.week, t.store_id
    ORDER BY t.week, t.store_id
    ON CONFLICT (week, store_id) DO UPDATE
    SET (
        days,
        open_quarters, entries, exits, staff_entries, child_entries, groups, passers_by, all_in, all_out,
        camera_quarters, due_ms, observed_ms, required_ms, street_quarters, till_quarters, transactions, gross_sales,
        sales_squares, units, units_squares, refund_count, refunds, member_transactions, member_sales, member_squares,
        matched_quarters, matched_visitors, matched_groups, matched_transactions, matched_sales, matched_squares,
        other_transactions, other_visitors, capture_quarters, capture_entries, capture_passers_by, counted_entries,
        counted_exits, excluded_quarters, excluded_entries, staff_estimated, entries_error, rostered_quarters,
        staff_seconds, star_visitors, star_seconds, dwell_quarters, dwell_visitors, dwell_seconds, checkin_quarters,
        member_visits, member_buyers, power_milli, imputed_quarters, imputed_entries, imputed_visitors,
        imputed_seconds
    ) = (
        excluded.days,
        excluded.open_quarters, excluded.entries, excluded.exits, excluded.staff_entries, excluded.child_entries,
        excluded.groups, excluded.passers_by, excluded.all_in, excluded.all_out, excluded.camera_quarters,
        excluded.due_ms, excluded.observed_ms, excluded.required_ms, excluded.street_quarters, excluded.till_quarters,
        excluded.transactions, excluded.gross_sales, excluded.sales_squares, excluded.units, excluded.units_squares,
        excluded.refund_count, excluded.refunds, excluded.member_transactions, excluded.member_sales,
        excluded.member_squares, excluded.matched_quarters, excluded.matched_visitors, excluded.matched_groups,
        excluded.matched_transactions, excluded.matched_sales, excluded.matched_squares, excluded.other_transactions,
        excluded.other_visitors, excluded.capture_quarters, excluded.capture_entries, excluded.capture_passers_by,
        excluded.counted_entries, excluded.counted_exits, excluded.excluded_quarters, excluded.excluded_entries,
        excluded.staff_estimated, excluded.entries_error, excluded.rostered_quarters, excluded.staff_seconds,
        excluded.star_visitors, excluded.star_seconds, excluded.dwell_quarters, excluded.dwell_visitors,
        excluded.dwell_seconds, excluded.checkin_quarters, excluded.member_visits, excluded.member_buyers,
        excluded.power_milli, excluded.imputed_quarters, excluded.imputed_entries, excluded.imputed_visitors,
        excluded.imputed_seconds
    )
    WHERE k IS DISTINCT FROM excluded;
END
$$;

CREATE FUNCTION add_up_changed_weeks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM add_up_weeks(array_agg(store_id), array_agg(week))
    FROM (SELECT DISTINCT store_id, day - (extract(isodow FROM day)::int - 1) AS week FROM changed) w;
    RETURN NULL;
END
$$;
CREATE TRIGGER store_day_added AFTER INSERT ON store_day
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION add_up_changed_weeks();
CREATE TRIGGER store_day_changed AFTER UPDATE ON store_day
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION add_up_changed_weeks();
CREATE TRIGGER store_day_gone AFTER DELETE ON store_day
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION add_up_changed_weeks();

SELECT add_up_weeks(array_agg(store_id), array_agg(week))
FROM (
    SELECT DISTINCT store_id, day - (extract(isodow FROM day)::int - 1) AS week
    FROM store_day
    WHERE superseded_at IS NULL
) w;
