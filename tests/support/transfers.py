"""Intents as the worker records them."""

import json
import uuid

from payouts.gateway import TransferIntent


def intent(destination: str, key: str | None = None, **changes) -> TransferIntent:
    """An intent as the worker records it, of 12.50 GBP."""
    body = {
        "amount": 1250,
        "currency": "gbp",
        "destination": destination,
        "metadata": {"attempt": "1", "payout_id": "payout-7"},
        "transfer_group": "batch-1",
        **changes,
    }
    return TransferIntent(key or str(uuid.uuid4()), json.dumps(body))
