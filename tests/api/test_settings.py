"""Settings: nothing is needed, and every mistake names its variable."""

from pathlib import Path

import pytest

from api.settings import STANDIN_KEY, InvalidSettings, Settings, read_settings

NAMES = (
    "DATABASE_URL",
    "HOST",
    "PORT",
    "WORKERS",
    "THREADS",
    "PIN_WORKERS",
    "STRIPE_API_KEY",
    "STRIPE_API_BASE",
    "AUDIT_TARGETS",
    "SMTP_URL",
    "SMTP_SENDER",
    "SIMULATOR_PORT",
    "VAR_DIR",
)


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    """An environment without a word of ours."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_a_first_start_needs_nothing():
    """SQLite under var/, the stand-in for Stripe, this machine only."""
    found = read_settings()

    assert found == Settings()
    assert (found.database_url, found.stripe_api_key) == ("sqlite:///var/revshare.db", STANDIN_KEY)
    assert found.uses_standin
    assert found.stripe_base == "http://127.0.0.1:12111"
    assert found.base_url == "http://127.0.0.1:8080"


def test_what_the_environment_says_is_used(monkeypatch):
    """Each variable has its place."""
    for name, value in {
        "DATABASE_URL": "postgresql://u@h/d",
        "HOST": "::1",
        "PORT": "9000",
        "STRIPE_API_KEY": "sk_test_abc",
        "VAR_DIR": "elsewhere",
    }.items():
        monkeypatch.setenv(name, value)

    found = read_settings()

    assert (found.database_url, found.var) == ("postgresql://u@h/d", Path("elsewhere"))
    assert found.base_url == "http://[::1]:9000"
    assert (found.uses_standin, found.stripe_base) == (False, None)


def test_every_mistake_is_named_and_no_password_is_told(monkeypatch):
    """All at once."""
    wrong = {
        "DATABASE_URL": "mysql://user:topsecret@host/name",
        "PORT": "99999",
        "WORKERS": "many",
        "PIN_WORKERS": "perhaps",
        "STRIPE_API_KEY": "pk_live_topsecret",
        "STRIPE_API_BASE": "ftp://x",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(InvalidSettings) as refused:
        read_settings()

    assert set(refused.value.mistakes) == set(wrong)
    assert all(name in str(refused.value) for name in wrong)
    assert "topsecret" not in str(refused.value)


def test_messages_need_a_server_and_a_sender(monkeypatch):
    """Each is named where only the other is there, and the target that needs them."""
    monkeypatch.setenv("AUDIT_TARGETS", "mailto:auditor@example.com")
    with pytest.raises(InvalidSettings) as refused:
        read_settings()
    assert set(refused.value.mistakes) == {"AUDIT_TARGETS"}
    monkeypatch.setenv("SMTP_URL", "smtp://ledger:topsecret@mail.example.com")
    with pytest.raises(InvalidSettings) as refused:
        read_settings()
    assert set(refused.value.mistakes) == {"SMTP_SENDER"}
    monkeypatch.setenv("SMTP_SENDER", "ledger@example.com")

    (target,) = read_settings().checkpoint_targets

    assert target.name == "mailto:auditor@example.com"


def test_a_mistake_in_the_mail_server_is_named_without_its_password(monkeypatch):
    """And in the sender."""
    monkeypatch.setenv("SMTP_URL", "imap://ledger:topsecret@mail.example.com")
    monkeypatch.setenv("SMTP_SENDER", "ledger")

    with pytest.raises(InvalidSettings) as refused:
        read_settings()

    assert set(refused.value.mistakes) == {"SMTP_URL", "SMTP_SENDER"}
    assert "topsecret" not in str(refused.value)
