-- The certificates boxes were given. The keys are nowhere here: each was made, carried to its box, and forgotten.

CREATE TABLE device_certificate (
    fingerprint   text PRIMARY KEY CHECK (fingerprint ~ '^[0-9a-f]{64}$'),  -- SHA-256 of the DER form
    device_id     text NOT NULL REFERENCES device,
    authority     text NOT NULL CHECK (authority ~ '^[0-9a-f]{40}$'),       -- key identifier of the CA that signed it
    serial        text NOT NULL CHECK (serial ~ '^[0-9a-f]+$'),
    issued_at     timestamptz NOT NULL,
    not_after     timestamptz NOT NULL CHECK (not_after > issued_at),
    -- When its box was first and last known to sign in with it.
    first_seen_at timestamptz,
    last_seen_at  timestamptz,
    -- Set when a newer one was issued: taken until the newer one was seen, and no longer than this.
    overlaps_until timestamptz,
    -- Set when it stopped being taken; from then on it stands in the revocation list until it expires.
    ended_at      timestamptz,
    end_reason    text CHECK (end_reason IN ('revoked', 'superseded')),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
CREATE INDEX device_certificate_device ON device_certificate (device_id, issued_at DESC);
