"""No repository function reads store data without a Scope: held by reading the code, not by hoping.

A function whose SQL reads or changes rows of a store-data table must take ``scope: Scope`` and use it. What is exempt
stands in `EXEMPT`, each with its reason; an exemption that is no longer needed fails too.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

STORE_DATA = (
    "camera|check_in|correction|coupon|coupon_redemption|coverage|coverage_15m|crossing|dead_letter|desk_item|device|"
    "device_certificate|device_config|device_event|device_request|dirty_mark|event|fact|ingest_cursor|kpi_setting|line|"
    "lost_range|member|member_advisor|member_attachment|member_brought_tier|member_consent|member_cost|member_import|member_import_error|"
    "member_link|member_merge|member_not_twin|member_note|member_phone|member_tag|member_token|member_value|"
    "opening_exception|opening_hours|points_account|points_entry|points_lot|points_movement|points_receipt|"
    "points_request|receipt|receipt_conflict|receipt_line|roster_day|roster_shift|sales_import|sales_import_error|"
    "silence|store|store_calendar|store_day|store_day_beside|store_hour|store_hour_past|store_label|store_week|tally|"
    "tier_change|tier_standing|traffic_15m|"
    "value_account|value_card|value_entry|value_holder|value_lot|value_number|value_posting"
)
#: Every other table, by the reason why it needs no scope. What stands in neither fails: a new table is not forgotten.
NOT_STORE_DATA = {
    "who signs in, by what, and who did what: for administrators, or of whoever asks": (
        "api_key app_user audit audit_head audit_link oidc_attempt recovery_code saved_view session sign_in_failure"
        " user_store"
    ),
    "rules, rates, days and words of the whole chain": (
        "consent_wording coupon_definition exchange_rate holiday member_field member_rule points_reason points_rules"
        " member_format raw_retention serving_cost till_format tier_rules value_bonus_rule value_grading value_setting"
        " value_standing"
    ),
    "codes by their own number, and receipts of erasures that name nobody": "member_code member_erasure",
    "what the server tells itself and, for the whole chain, others": (
        "event_consumer event_life job_run setup_closed webhook webhook_delivery"
    ),
}
READS = re.compile(rf"\b(?:FROM|JOIN|UPDATE|USING|DELETE\s+FROM)\s+(?:ONLY\s+)?(?:{STORE_DATA})\b(?!\s*\()")

#: `package.function` to the reason why it needs no scope's stores, `package.file.function` where two files of a package
#: have one of that name.
EXEMPT = {
    "stored_value.insert_entries": "writes the entries of a posting that was made under a scope",
    **{
        f"stored_value.{name}": "comes after `stored_value.card`, by the id of the card or posting that let in"
        for name in (
            *("lots", "_parts", "money", "after", "lines", "sum_of_entries", "end_number", "number_of", "set_state"),
            "set_holder",
        )
    },
    "stored_value.card_of_number": "a whole number is as good as the card, which is good in every store",
    "stored_value.card_of_ended_number": "as `stored_value.card_of_number`: says that a card was replaced",
    **{
        f"stored_value.{name}": "by ids of members that were read under a scope, for their rights or after `family`"
        for name in ("cards_of", "live_numbers")
    },
    "stored_value.owed": "what stores owe each other is settled by whoever sees the whole chain: it asks that",
    "coupons.coupon_of_code": "a whole code is as good as the coupon, in every store",
    "coupons.set_state": "by the id of a coupon that was found by its code or under a scope, and is locked",
    **{
        f"coupons.{name}": "counts and keys of one definition, while a coupon of it is issued to whoever was let in"
        for name in ("out", "issued_for")
    },
    **{
        f"coupons.{name}": "by ids of members that were read under a scope, for their rights"
        for name in ("coupons_of_members", "erase_codes")
    },
    **{
        f"coupons.{name}": "of the night and of what happened, on nobody's asking: it asks for the system's role"
        for name in ("born", "missed", "roots", "expire", "undo")
    },
    "coupons.tallies": "sums over the whole chain, for whoever sees it",
    **{
        f"membership.{name}": "by the id of a member that was read under a scope"
        for name in (
            *("advisors", "drop_tags", "lock", "save", "drop_tokens", "links", "revoke", "merges", "weight"),
            *("lock_member", "attachment", "more", "repository.consents"),
            *("note_repository.notes", "note_repository.attachments"),
        )
    },
    **{
        f"membership.{name}": "by ids of members that were read under a scope, both of them, or it is taken back"
        for name in ("lock_all", "point", "undo")
    },
    **{
        f"membership.{name}": "all of one member's, for the member: who asks must be of the home store"
        for name in (
            *("rights_repository.consents", "rights_repository.notes", "rights_repository.attachments"),
            *("family", "old_phones", "tags", "bought", "sold", "empty", "left"),
        )
    },
    "membership.reachable": "for who issues coupons by rule and to groups of the whole chain; ids come back",
    "membership.tier_brought": "of the process that works on a file, by the member it just made or found",
    **{
        f"points.{name}": "of accounts that are held: by ids that were let in by `visible` or by a card or number shown"
        for name in (
            *("repository.hold", "load_lots", "write", "_update_lots", "account", "owners", "movements_of"),
            *("entry_by", "known_key", "adjusted_since", "by_key", "_content", "decide"),
        )
    },
    **{
        f"points.{name}": "follows what the tills told, on nobody's asking"
        for name in ("by_keys", "about", "update", "move", "receipt_repository.release", "owed_moved")
    },
    **{
        f"points.{name}": "what is due comes in or expires by night, on nobody's asking"
        for name in ("due", "expiry_repository.hold", "expiry_repository.release", "expire")
    },
    **{
        f"points.{name}": "sums and differences of the whole chain, for whoever sees it: the service asks that"
        for name in (
            *("outstanding", "outstanding_at", "owed_at", "owed", "balances_off", "lots_off", "movements_off"),
            *("running_off", "receipts_off"),
        )
    },
    **{
        f"points.{name}": "by ids of members that were read under a scope, for their rights"
        for name in (
            *("rights_repository.entries", "lots", "requests", "count_entries", "delete_reasons", "delete_requests"),
            *("forget_receipts", "left", "ledger", "keep_still"),
        )
    },
    **{
        f"offline.{name}": "of one's own: by the id of whoever handed it in"
        for name in ("taken", "end", "waiting", "envelope", "settle")
    },
    "offline.forget": "what is old goes, on nobody's asking",
    **{
        f"offline.{name}": "by ids of members that were read under a scope, for their rights"
        for name in ("of_members", "forget_members")
    },
    **{
        f"events.{name}": "what consumers of the server itself are told of, each its own part; nobody's asking"
        for name in ("after", "lags", "delete_passed")
    },
    "sales.same_people": "says of pairs that receipts of the scope name whether they are one person",
    "value.latest_over": "as `value.compute`",
    "value.compute": "the whole chain's night, and whoever sees it: it asks that",
    "value.trial": "cuts tried on the whole chain, for whoever sees it: it asks that; sums come back",
    "access.unknown_stores": "an administrator names stores; it answers with those that don't exist",
    "membership.members_of_phones": "an exact number finds a member of any store; it answers with an id and a card",
    "membership.by_external_no": "an import asks which numbers of the old system came before, whose ever they are",
    "membership.seen_on_days_of_both": "as `membership.lock_all`: days to be made anew, wherever the two were",
    "membership.opens_elsewhere": "says whether, of a member whose exact number led here; merges go over stores",
    "membership.card_of_member": "an exact number led to the member; it answers with a card",
    "membership.enrolled_in": "of whom came before, as an import knows by their number: where that was",
    "membership.members_of_cards": "an exact card finds a member of any store; it answers with an id and a card",
    **{
        f"membership.{name}": "a number is proved by a code, wherever its holder's home is"
        for name in ("holders", "release", "clear_phone", "keep_old")
    },
    **{
        f"membership.{name}": "whoever runs the server changes the key of the whole chain, and is shown nothing of it"
        for name in (
            *("counts", "old_keys", "members", "save_member", "replace_tokens", "phones", "save_phone", "notes_under"),
            *("save_note", "files", "save_file"),
        )
    },
    **{
        f"tiers.{name}": "by ids of members that were read under a scope, or for the job that follows all of them"
        for name in (
            *("hold", "standing_of_any", "keep", "tiers_at", "risen", "activity", "history", "due", "forget_reasons"),
            *("delete_standings", "before_merge"),
        )
    },
    **{
        f"tiers.{name}": "rules tried on the whole chain, for those who see it; sums and ids come back"
        for name in ("pairs", "movers")
    },
    "points.remember": "follows what the tills told, on nobody's asking",
    "value.blank_costs": "takes a person out of what was noted, by ids that were read under a scope",
    "membership.card_of": "nobody is signed in: whoever has the key of a page sees the card, and nothing else",
    "membership.touch": "as `membership.card_of`",
    "membership.delete_older": "what is older than the chain keeps it goes, on nobody's asking",
    "provisioning.ended": "the CA's revocation list names the whole chain's, or it would let someone in",
    "provisioning.note_seen": "a device is no user: it signs in with a certificate of its own",
    "provisioning.is_taken": "a device is no user: it signs in with a certificate of its own",
    "configs.newest": "the publisher says to every box what it is to do",
    **{
        f"configs.{name}": "a device is no user: it hears and speaks of its own configuration only"
        for name in ("newest_of", "note_report")
    },
    **{
        f"storage.{name}": "raw rows of the whole chain go when they are old, on nobody's asking"
        for name in ("cameras", "delete_crossings", "delete_coverage")
    },
    **{
        f"sales.{name}": "of the process that works on a file, by ids that it made itself"
        for name in ("beat", "progress", "finish", "fail_silent")
    },
    "sales.purge": "what is old goes, on nobody's asking",
    "imports.purge": "what is old goes, on nobody's asking",
    "imports.fail_silent": "a process that died is noticed by whoever looks, whosever file it was",
    "ingest.prove_writable": "touches no row: it finds out whether any can be written",
    "jobs.delete_marks": "deletes marks by the ids that were read under a scope",
    **{
        f"ingest.{name}": "a device is no user: what it may write follows from its registration"
        for name in (
            *("devices", "registry", "lock_cursors", "move_cursors", "set_skews", "set_status", "merge_tallies"),
            *("last_taken", "lock_heard", "lives", "set_lives"),
        )
    },
    **{
        f"ingest.{name}": "ends a letter by the id that was locked under a scope"
        for name in ("mark_booked", "note_failure", "mark_dropped")
    },
}


def functions(root: Path) -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """Every function of every repository file, with the SQL in it and in the file's constants it uses."""
    for path in sorted((root / "server").rglob("*repository.py")):
        tree = ast.parse(path.read_text())
        constants = {
            target.id: texts(node)
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                used = [
                    constants[each.id] for each in ast.walk(node) if isinstance(each, ast.Name) and each.id in constants
                ]
                yield f"{path.parent.name}.{path.stem}.{node.name}", node, "\n".join([texts(node), *used])


def texts(node: ast.AST) -> str:
    """All string literals under a node."""
    return "\n".join(
        each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )


#: What of a scope is about stores; its role, its name and whether it sees the whole chain are not.
STORES_OF = ("store_ids", "stores", "require", "allows")


def has_used_scope(function: ast.FunctionDef) -> bool:
    """Whether it takes ``scope: Scope`` and goes by its stores, or hands it on to a function that takes one, too.

    A function that asks for the role alone reads whatever store's data there are: that has to have a reason.
    """
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    typed = any(each.arg == "scope" and ast.unparse(each.annotation or ast.Name("")) == "Scope" for each in arguments)
    return typed and any(_goes_by_stores(node) for node in ast.walk(function))


def _goes_by_stores(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return _is_scope(node.value) and node.attr in STORES_OF
    if isinstance(node, ast.Call):
        return any(_is_scope(each) for each in [*node.args, *(keyword.value for keyword in node.keywords)])
    return False


def _is_scope(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "scope"


def short(name: str) -> str:
    """`package.function` of `package.file.function`."""
    package, _, function = name.split(".")
    return f"{package}.{function}"


def is_exempt(name: str) -> bool:
    return name in EXEMPT or short(name) in EXEMPT


def test_every_table_is_known_to_hold_store_data_or_not(repository_root: Path) -> None:
    made: set[str] = set()
    for path in sorted((repository_root / "server" / "storage" / "migrations").glob("*.sql")):
        text = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
        made |= set(re.findall(r"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)", text))
        made -= set(re.findall(r"DROP TABLE (?:IF EXISTS )?(\w+)", text))
    others = [table for tables in NOT_STORE_DATA.values() for table in tables.split()]
    known = {*STORE_DATA.split("|"), *others}
    assert len(known) == len(STORE_DATA.split("|")) + len(others), "a table holds store data or does not: one list"
    assert made - known == set(), "say in STORE_DATA or NOT_STORE_DATA what these hold"
    assert len(made) > 60


def test_every_repository_function_that_reads_store_data_takes_a_scope(repository_root: Path) -> None:
    bare = [
        name
        for name, function, sql in functions(repository_root)
        if READS.search(sql) and not has_used_scope(function) and not is_exempt(name)
    ]
    assert not bare, f"these read store data without a scope: {', '.join(bare)}"


def test_no_exemption_outlives_its_function(repository_root: Path) -> None:
    needed = [
        name for name, function, sql in functions(repository_root) if READS.search(sql) and not has_used_scope(function)
    ]
    for name in EXEMPT:
        fitting = [each for each in needed if name in {each, short(each)}]
        assert len(fitting) == 1, f"{name} is the exemption of one function, not of {fitting or 'none'}"


def test_sql_stands_in_repositories_only(repository_root: Path) -> None:
    """Store data read from anywhere else would slip past the test above."""
    statement = re.compile(rf"\bSELECT\b[\s\S]*\bFROM\s+(?:{STORE_DATA})\b")
    strangers = [
        str(path.relative_to(repository_root))
        for path in sorted((repository_root / "server").rglob("*.py"))
        if not path.name.endswith("repository.py") and statement.search(texts(ast.parse(path.read_text())))
    ]
    assert strangers == []


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("def f(conn): conn.execute('SELECT 1 FROM receipt')", True),
        ("def f(conn, scope: Scope): conn.execute('SELECT 1 FROM receipt')", True),
        ("def f(conn, scope: Scope): return scope.actor, conn.execute('SELECT 1 FROM receipt')", True),
        ("def f(conn, scope: Scope): scope.require_role('desk'); conn.execute('SELECT 1 FROM receipt')", True),
        ("def f(conn, scope: Scope): scope.require_whole_chain(); conn.execute('SELECT 1 FROM receipt')", True),
        ("def f(conn, scope: Scope): conn.execute('SELECT 1 FROM receipt', scope.store_ids)", False),
        ("def f(conn, scope: Scope): scope.require('S01'); conn.execute('SELECT 1 FROM receipt')", False),
        ("def f(conn, scope: Scope): return g(conn, scope) and conn.execute('SELECT 1 FROM receipt')", False),
        ("def f(conn, *, scope: Scope): conn.execute('UPDATE receipt SET x = 1', scope.store_ids)", False),
        ("def f(conn): conn.execute('INSERT INTO receipt VALUES (1)')", False),
        ("def f(conn): conn.execute('SELECT 1 FROM app_user JOIN session USING (user_id)')", False),
        ("def f(conn): conn.execute('DELETE\\n FROM\\n store_day')", True),
    ],
)
def test_the_test_itself_can_tell(source: str, bad: bool) -> None:
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    assert (bool(READS.search(texts(function))) and not has_used_scope(function)) == bad
