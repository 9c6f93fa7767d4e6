"""The bytes of a receipt of erasure that are signed: one spelling, whatever the database made of the JSON. Pure."""

import json
from collections.abc import Mapping


def receipt_bytes(receipt: Mapping[str, object]) -> bytes:
    """Keys sorted, no spaces, UTF-8: jsonb keeps neither order nor spacing."""
    return json.dumps(receipt, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
