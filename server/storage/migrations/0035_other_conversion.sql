-- Transactions and visitors of the matched quarter hours without members', so that conversion can be told of everybody else. Days of stores that
-- take check-ins are made anew; of the others nothing is known of members who bought nothing, before or after.
ALTER TABLE store_day
    ADD COLUMN other_transactions integer NOT NULL DEFAULT 0,
    ADD COLUMN other_visitors     integer NOT NULL DEFAULT 0;
ALTER TABLE store_hour
    ADD COLUMN other_transactions integer NOT NULL DEFAULT 0,
    ADD COLUMN other_visitors     integer NOT NULL DEFAULT 0;
ALTER TABLE store_hour_past
    ADD COLUMN other_transactions integer NOT NULL DEFAULT 0,
    ADD COLUMN other_visitors     integer NOT NULL DEFAULT 0;

INSERT INTO dirty_mark (store_id, hour, reason)
SELECT h.store_id, date_trunc('hour', min(h.hour), 'UTC'), 'migration'
FROM store_hour h
JOIN store_day d ON d.store_id = h.store_id AND d.day = h.day AND d.superseded_at IS NULL
WHERE d.checkin_quarters > 0
GROUP BY h.store_id, h.day;
