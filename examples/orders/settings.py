"""Where the shop keeps its things, from the environment of the worker."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from attrs import frozen
from examples.orders.confirmation import MailServer


@frozen(kw_only=True)
class ShopSettings:
    """The places that the handlers write to.

    The shop's tables lie in the database that Schedora works on: only there can a reservation and the
    completion of its job be one transaction.
    """

    database_url: str
    invoices: Path
    mail_server: MailServer

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the settings; KeyError names a variable that is missing."""
        host, _, port = environment["SHOP_SMTP"].rpartition(":")
        return cls(
            database_url=environment["SHOP_DATABASE_URL"],
            invoices=Path(environment["SHOP_INVOICES"]),
            mail_server=MailServer(host=host, port=int(port)),
        )

    def to_environment(self) -> dict[str, str]:
        """Return the variables that `from_environment` reads."""
        return {
            "SHOP_DATABASE_URL": self.database_url,
            "SHOP_INVOICES": str(self.invoices),
            "SHOP_SMTP": f"{self.mail_server.host}:{self.mail_server.port}",
        }
