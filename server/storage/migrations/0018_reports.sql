-- What reports of a whole chain are quick by, and choose stores by.

-- How a store is run (flagship, outlet, airport) and whatever else a chain sorts its stores by.
ALTER TABLE store
    ADD COLUMN format text NOT NULL DEFAULT '',
    ADD COLUMN tags   text[] NOT NULL DEFAULT '{}';

-- HQ's table adds up tens of thousands of store-days and needs two dozen of their facts: read from here alone, it takes
-- two thirds of the time. Other facts are found by the same tree and read from the rows.
CREATE INDEX store_day_report ON store_day (day, store_id)
    INCLUDE (entries, staff_entries, entries_error, open_quarters, camera_quarters, due_ms, observed_ms, required_ms,
             till_quarters, transactions, refund_count, matched_transactions, matched_visitors, gross_sales,
             sales_squares, refunds, matched_sales, matched_squares, member_transactions, imputed_quarters,
             imputed_entries, imputed_visitors)
    WHERE superseded_at IS NULL;
DROP INDEX store_day_by_day;
