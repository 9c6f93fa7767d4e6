-- A year of one store by the hour lies in hundreds of pages, a day's dozen rows in each: a heat map reads all of these
-- for a sixth of their columns. What visitors and conversion are made of stands in the tree by which its rows are found,
-- some seventy pages side by side, and takes half the processor's time. Other facts are read from the rows.
CREATE INDEX store_hour_report ON store_hour (store_id, day)
    INCLUDE (local_hour, entries, staff_entries, entries_error, open_quarters, camera_quarters, due_ms, observed_ms,
             required_ms, till_quarters, transactions, refund_count, matched_transactions, matched_visitors,
             imputed_quarters, imputed_entries, imputed_visitors);
DROP INDEX store_hour_day;

-- A day's receipts lie where they came, among those of all other stores: a hundred receipts, a hundred pages, read each
-- time the day is computed or told by the quarter hour. All that is told of them stands in the tree by which they are
-- found, three or four pages side by side.
CREATE INDEX receipt_day ON receipt (store_id, at) INCLUDE (kind, channel, gross, units, voided_at, member_id);
DROP INDEX receipt_store_at;
