-- What happened, for whoever has to act on it: a transactional outbox.

-- A database restored from a dump into another cluster begins to count its transactions anew, while its events still
-- bear the numbers of the old one: each cluster it has lived in is a life, and events are ordered by life first.
CREATE TABLE event_life (
    life   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system bigint NOT NULL
);
INSERT INTO event_life (system) SELECT system_identifier FROM pg_control_system();

-- No reference to a store or member: an event outlives what it tells of. Ordered by the transaction that wrote it,
-- because the order of event_id is that of asking for a number and says nothing about who commits first.
CREATE TABLE event (
    life     integer NOT NULL,
    xid      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    kind     text NOT NULL CHECK (kind ~ '^[a-z_]+\.[a-z_]+$'),
    store_id text,
    subject  text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    body     jsonb NOT NULL,
    PRIMARY KEY (life, xid, event_id)
);

-- How far each consumer has come.
CREATE TABLE event_consumer (
    consumer text PRIMARY KEY,
    life     integer NOT NULL DEFAULT 0,
    xid      xid8 NOT NULL DEFAULT '0',
    event_id bigint NOT NULL DEFAULT 0,
    taken_at timestamptz NOT NULL DEFAULT now()
);
