-- How stores are sorted, for programs that read.
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
    s.format,
    s.tags
FROM store s
LEFT JOIN LATERAL (
    SELECT timezone, day_starts FROM store_calendar WHERE store_id = s.store_id AND valid_from <= current_date
    ORDER BY valid_from DESC LIMIT 1
) c ON true;
