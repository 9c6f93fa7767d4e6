-- A member told the desk of a store that they are here. Receipts say it of those who bought.
CREATE TABLE check_in (
    check_in_id uuid PRIMARY KEY,                     -- made from who booked it and their key: booked twice, kept once
    member_id   uuid NOT NULL REFERENCES member,
    store_id    text NOT NULL REFERENCES store,
    at          timestamptz NOT NULL,
    how         text NOT NULL CHECK (how IN ('phone', 'card', 'qr', 'name')),
    made_by     text NOT NULL
);
CREATE INDEX check_in_store ON check_in (store_id, at);
CREATE INDEX check_in_member ON check_in (member_id, at);
