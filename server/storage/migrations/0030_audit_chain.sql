-- The audit trail can only grow, and shows what was done to it. Each line is linked to the one before by a hash over
-- its content and that link's hash (ADR 0030); the links are numbered in the order of commits.

-- The end of the chain, and the place before which it was cut by retention. One row.
CREATE TABLE audit_head (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    link_no  bigint NOT NULL,
    hash     bytea NOT NULL CHECK (octet_length(hash) = 32),
    cut_no   bigint NOT NULL DEFAULT 0 CHECK (cut_no <= link_no),
    cut_hash bytea NOT NULL CHECK (octet_length(cut_hash) = 32)
);
INSERT INTO audit_head (link_no, hash, cut_hash)
VALUES (0, decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'));

-- No foreign key: whoever removes a line past all guards leaves its link behind, which tells.
CREATE TABLE audit_link (
    link_no  bigint PRIMARY KEY,
    audit_id bigint NOT NULL UNIQUE,
    hash     bytea NOT NULL CHECK (octet_length(hash) = 32)
);

-- One value of a line, told apart from its neighbours by its length; NULL is '-'.
CREATE FUNCTION audit_part(value text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN value IS NULL THEN '-'::bytea
        ELSE convert_to(octet_length(convert_to(value, 'UTF8')) || ':', 'UTF8') || convert_to(value, 'UTF8')
    END
$$;

CREATE FUNCTION audit_digest(before bytea, link_no bigint, line audit) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(
        before
        || audit_part(link_no::text)
        || audit_part(line.audit_id::text)
        || audit_part((extract(epoch FROM line.at) * 1000000)::bigint::text)
        || audit_part(line.actor)
        || audit_part(line.action)
        || audit_part(line.subject)
        || audit_part(line.store_id)
        || audit_part(line.detail::text)
    )
$$;

-- The head's row is the lock: taken by the commit, for as long as the commit lasts.
CREATE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head audit_head;
BEGIN
    UPDATE audit_head h
    SET link_no = h.link_no + 1, hash = audit_digest(h.hash, h.link_no + 1, NEW)
    RETURNING h.* INTO head;
    INSERT INTO audit_link (link_no, audit_id, hash) VALUES (head.link_no, NEW.audit_id, head.hash);
    RETURN NULL;
END
$$;

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail can only grow: % of % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- What retention cut off may go; the cut stands in the head first.
CREATE FUNCTION audit_guard_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM audit_link l, audit_head h WHERE l.audit_id = OLD.audit_id AND l.link_no <= h.cut_no
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit trail can only grow: DELETE of line % refused', OLD.audit_id
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION audit_guard_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.link_no <= (SELECT cut_no FROM audit_head) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit trail can only grow: DELETE of link % refused', OLD.link_no
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- The end moves on by one, or the cut moves on to a link that is there; never both, never back.
CREATE FUNCTION audit_guard_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.link_no = OLD.link_no + 1 AND (NEW.cut_no, NEW.cut_hash) = (OLD.cut_no, OLD.cut_hash) THEN
        RETURN NEW;
    END IF;
    IF NEW.cut_no > OLD.cut_no AND (NEW.link_no, NEW.hash) = (OLD.link_no, OLD.hash)
        AND NEW.cut_hash = (SELECT hash FROM audit_link WHERE link_no = NEW.cut_no)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the end of the audit trail moves on by itself only' USING ERRCODE = 'insufficient_privilege';
END
$$;

-- What was written before there was a chain is linked as it stands.
DO $$
DECLARE
    line audit;
    head audit_head;
BEGIN
    FOR line IN SELECT * FROM audit ORDER BY audit_id LOOP
        UPDATE audit_head h
        SET link_no = h.link_no + 1, hash = audit_digest(h.hash, h.link_no + 1, line)
        RETURNING h.* INTO head;
        INSERT INTO audit_link (link_no, audit_id, hash) VALUES (head.link_no, line.audit_id, head.hash);
    END LOOP;
END
$$;

CREATE CONSTRAINT TRIGGER audit_chain AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_chain();
CREATE TRIGGER audit_no_change BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_guard_line();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_link_no_change BEFORE UPDATE ON audit_link FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_link_no_delete BEFORE DELETE ON audit_link FOR EACH ROW EXECUTE FUNCTION audit_guard_link();
CREATE TRIGGER audit_link_no_truncate BEFORE TRUNCATE ON audit_link EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_head_moves_on BEFORE UPDATE ON audit_head FOR EACH ROW EXECUTE FUNCTION audit_guard_head();
CREATE TRIGGER audit_head_no_delete BEFORE DELETE ON audit_head FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_head_no_truncate BEFORE TRUNCATE ON audit_head EXECUTE FUNCTION audit_refuse();
