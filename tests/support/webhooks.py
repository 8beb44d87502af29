"""Webhooks as the provider sends them: bodies of both styles, signed as the SDK checks it."""

import json
from datetime import datetime
from typing import Any

import stripe

SECRET = "whsec_of_tests"


def snapshot(kind: str, about: dict[str, Any], *, event_id: str = "evt_1", **more: Any) -> dict[str, Any]:
    """A v1 event with its object."""
    event = {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_780_000_000,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": None,
        "type": kind,
    }
    return {**event, **more}


def thin(kind: str, object_id: str, *, event_id: str = "evt_test_1", **more: Any) -> dict[str, Any]:
    """The notification of a v2 event."""
    related = {"id": object_id, "type": "v2.core.account", "url": f"/v2/core/accounts/{object_id}"}
    event = {
        "id": event_id,
        "object": "v2.core.event",
        "created": "2026-05-28T21:26:40.000Z",
        "livemode": False,
        "type": kind,
        "related_object": related,
        "context": None,
        "reason": None,
    }
    return {**event, **more}


def sign(body: bytes, at: datetime, secret: str = SECRET) -> str:
    """The header Stripe-Signature of a body, signed at a time."""
    header: str = stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret, int(at.timestamp())
    )
    return header


def encoded(event: dict[str, Any]) -> bytes:
    """The bytes of an event."""
    return json.dumps(event).encode()
