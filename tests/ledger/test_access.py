"""API keys: scopes that fit together, secrets that nobody keeps."""

import hashlib
from uuid import uuid4

import msgspec
import pytest

from ledger import access
from ledger.commands import IssueApiKey, RevokeApiKey
from ledger.events.access import ApiKeyIssued, ApiKeyRevoked
from ledger.events.base import Fact
from ledger.refusals import InvalidField, NotFound

KEY_ID, PARTNER = uuid4(), uuid4()
SECRET = access.new_secret()
ISSUE = IssueApiKey(name="ci", scopes=("conversions:write", "finance:read"))
ISSUED = ApiKeyIssued(
    name="ci",
    scopes=("conversions:write", "finance:read"),
    secret_sha256=hashlib.sha256(SECRET.encode()).hexdigest(),
)


def replay(*facts: Fact) -> access.KeyState:
    """The key after facts."""
    state = access.INITIAL
    for fact in facts:
        state = access.evolve(state, fact)
    return state


def test_only_a_hash_of_the_secret_is_kept():
    """The fact has no place for more."""
    assert access.issue(ISSUE, access.INITIAL, secret=SECRET) == [ISSUED]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": " "}, "/name"),
        ({"person": "a\nb"}, "/person"),
        ({"scopes": ()}, "/scopes"),
        ({"scopes": ("admin", "admin")}, "/scopes/1"),
        ({"scopes": ("partner:read",)}, "/partner_id"),
        ({"scopes": ("admin", "partner:read")}, "/partner_id"),
        ({"scopes": ("partner:read", "admin"), "partner_id": PARTNER}, "/scopes/1"),
        ({"scopes": ("finance:read",), "partner_id": PARTNER}, "/scopes/0"),
    ],
)
def test_what_a_key_can_t_be(change, pointer):
    """A partner's key reads that partner's data and nothing else; no other key is bound."""
    with pytest.raises(InvalidField) as refused:
        access.issue(msgspec.structs.replace(ISSUE, **change), access.INITIAL, secret=SECRET)

    assert refused.value.pointer == pointer


def test_a_partner_s_key_is_bound_to_it():
    """With the one scope that goes with it."""
    wish = IssueApiKey(name="acme", scopes=("partner:read",), partner_id=PARTNER)

    [fact] = access.issue(wish, access.INITIAL, secret=SECRET)

    bound = access.key(KEY_ID, replay(fact))
    assert bound is not None
    assert bound.partner_id == PARTNER


def test_a_token_is_taken_apart_again():
    """Whatever its secret begins or ends with."""
    for secret in (SECRET, "_" * 43, "-" * 43):
        assert access.parse(access.token(KEY_ID, secret)) == access.Token(KEY_ID, secret)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rs_",
        SECRET,
        f"rs_{KEY_ID}_{SECRET}",
        f"rs_{KEY_ID.hex}_{SECRET[:-1]}",
        f"rs_{KEY_ID.hex}_{SECRET}x",
        f"rs_{KEY_ID.hex}_{SECRET}\n",
        f"rs_{KEY_ID.hex}_{SECRET[:-1]}é",
        f"RS_{KEY_ID.hex}_{SECRET}",
    ],
    # Named without the random secret: a test has one name in every process and every run.
    ids=["empty", "prefix", "secret", "dashes", "short", "long", "line", "accent", "capitals"],
)
def test_what_is_no_token(text):
    """It opens nothing and breaks nothing."""
    assert access.parse(text) is None


def test_secrets_are_long_and_never_the_same():
    """256 bits of randomness."""
    assert len({access.new_secret() for _ in range(100)}) == 100
    assert len(SECRET) == 43


def test_a_key_opens_with_its_own_secret_until_it_is_revoked():
    """And an unknown key never does, not even without a secret."""
    key = access.key(KEY_ID, replay(ISSUED))
    revoked = access.key(KEY_ID, replay(ISSUED, ApiKeyRevoked(reason="leaked")))

    assert access.opens(key, SECRET)
    assert not access.opens(key, access.new_secret())
    assert not access.opens(revoked, SECRET)
    assert not access.opens(None, SECRET)
    assert not access.opens(None, "")


def test_a_key_is_revoked_for_ever():
    """Again, for whatever reason, is nothing new."""
    wish = RevokeApiKey(key_id=KEY_ID, reason="leaked")

    [fact] = access.revoke(wish, replay(ISSUED))

    assert access.revoke(RevokeApiKey(key_id=KEY_ID), replay(ISSUED, fact)) == []
    with pytest.raises(NotFound):
        access.revoke(wish, access.INITIAL)
    with pytest.raises(InvalidField):
        access.revoke(RevokeApiKey(key_id=KEY_ID, reason=""), replay(ISSUED))


def test_facts_of_other_rooms_change_nothing():
    """evolve never refuses."""
    assert replay(ISSUED, Fact()) == replay(ISSUED)
    assert access.key(KEY_ID, replay(Fact())) is None
