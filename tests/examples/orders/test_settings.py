"""The shop's settings."""

from pathlib import Path

import pytest
from examples.orders.confirmation import MailServer
from examples.orders.settings import ShopSettings


def test_settings_travel_through_the_environment() -> None:
    settings = ShopSettings(
        database_url="postgresql://schedora@/schedora?host=/tmp",
        invoices=Path("/srv/invoices"),
        mail_server=MailServer(host="127.0.0.1", port=2525),
    )
    assert ShopSettings.from_environment(settings.to_environment()) == settings


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(KeyError, match="SHOP_SMTP"):
        ShopSettings.from_environment({})
