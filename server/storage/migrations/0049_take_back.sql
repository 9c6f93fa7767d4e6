-- A redemption that a person took back, because it was made by mistake: who, under which key, and what they had asked for.
-- Why stands in the audit trail, which is where such words are kept. Those that a whole refund took back have none of it.
ALTER TABLE coupon_redemption
    ADD COLUMN undone_by   text,
    ADD COLUMN undone_key  text,
    ADD COLUMN undone_hash bytea,
    ADD CHECK ((undone_by IS NULL) = (undone_key IS NULL) AND (undone_by IS NULL) = (undone_hash IS NULL)),
    ADD CHECK (undone_by IS NULL OR undone_at IS NOT NULL);
CREATE UNIQUE INDEX coupon_redemption_undone_key ON coupon_redemption (store_id, undone_key)
    WHERE undone_key IS NOT NULL;
