-- What each member is worth to the chain, made anew every night out of receipts, and how that stood on every day.

-- How members are graded. A version holds from when it is saved; none is ever changed.
CREATE TABLE value_grading (
    version  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rules    jsonb NOT NULL,
    saved_by text NOT NULL,
    saved_at timestamptz NOT NULL,
    reason   text NOT NULL CHECK (reason <> '')
);

-- What it costs to serve a member, in the chain's reporting currency: by occasion, from a day on.
CREATE TABLE serving_cost (
    occasion   text NOT NULL CHECK (occasion IN ('sale', 'refund', 'visit', 'month')),
    valid_from date NOT NULL,
    amount     numeric(14, 4) NOT NULL CHECK (amount >= 0),
    entered_by text NOT NULL,
    entered_at timestamptz NOT NULL,
    PRIMARY KEY (occasion, valid_from)
);

-- What was spent on one member: a gift, an event, a visit at home. Taken back by an entry of the opposite sign.
CREATE TABLE member_cost (
    cost_id    uuid PRIMARY KEY,
    member_id  uuid NOT NULL REFERENCES member,
    day        date NOT NULL,
    amount     numeric(14, 2) NOT NULL CHECK (amount <> 0),
    what       text NOT NULL CHECK (what <> ''),
    entered_by text NOT NULL,
    entered_at timestamptz NOT NULL
);
CREATE INDEX member_cost_member ON member_cost (member_id, day);

-- One row per member who was not erased or merged away. Money in the reporting currency over the grading's window.
CREATE TABLE member_value (
    member_id     uuid PRIMARY KEY REFERENCES member ON DELETE CASCADE,
    home_store    text NOT NULL,
    day           date NOT NULL,                      -- up to and with which receipts are in it
    version       integer NOT NULL REFERENCES value_grading,
    last_bought   date,
    frequency     integer NOT NULL,                   -- days on which they bought
    monetary      numeric(14, 2) NOT NULL,            -- sales less refunds
    margin        numeric(14, 2) NOT NULL,            -- as far as costs of goods are known
    unknown_sales numeric(14, 2) NOT NULL,            -- sales without a cost of goods; their margin is not in it
    cost          numeric(14, 2) NOT NULL,            -- to serve
    value         numeric(14, 2) NOT NULL,            -- margin less cost
    r             smallint CHECK (r BETWEEN 1 AND 5), -- NULL: never bought in the window
    f             smallint CHECK (f BETWEEN 1 AND 5),
    m             smallint CHECK (m BETWEEN 1 AND 5),
    rhythm        real NOT NULL,                      -- days between purchases, their own or the chain's
    own_rhythm    boolean NOT NULL,
    stage         text NOT NULL CHECK (stage IN ('new', 'active', 'at_risk', 'dormant', 'lost', 'won_back')),
    high          boolean NOT NULL
);
CREATE INDEX member_value_by_value ON member_value (value DESC);
CREATE INDEX member_value_by_stage ON member_value (home_store, stage);

-- How the chain stood at the end of a night's run.
CREATE TABLE value_standing (
    day           date PRIMARY KEY,
    version       integer NOT NULL REFERENCES value_grading,
    members       integer NOT NULL,
    buyers        integer NOT NULL,
    high          integer NOT NULL,
    profit        numeric(16, 2) NOT NULL,
    high_profit   numeric(16, 2) NOT NULL,
    top_profit    numeric(16, 2) NOT NULL,
    bottom_profit numeric(16, 2) NOT NULL,
    unknown_sales numeric(16, 2) NOT NULL,
    left_out      integer NOT NULL,                   -- receipts in a currency without a rate
    stages        jsonb NOT NULL,
    made_at       timestamptz NOT NULL
);
