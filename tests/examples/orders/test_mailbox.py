"""Mail composed, handed over by SMTP and received as a file."""

import asyncio
import smtplib
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from examples.orders.confirmation import MailServer, compose, deliver
from examples.orders.mailbox import Mailbox
from tests.examples.orders.forms import a_form, an_order

PAID_AT = datetime(2026, 3, 5, 12, tzinfo=UTC)


def a_confirmation(invoice_page: Path) -> EmailMessage:
    customer = {**a_form()["customer"], "name": "Gudrun Ólafsdóttir"}
    invoice_page.write_text("<p>35.90 €</p>", encoding="utf-8")
    return compose(an_order(customer=customer), invoice_page=invoice_page, paid_at=PAID_AT)


async def test_a_mail_arrives_as_it_was_composed(tmp_path: Path) -> None:
    sent = a_confirmation(tmp_path / "INV-T-1.html")
    async with Mailbox(tmp_path / "mails") as mailbox:
        await asyncio.to_thread(deliver, sent, mailbox.address)
    (file,) = mailbox.mails()
    received = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert file.name == "T-1.confirmation@meridian.example.eml"
    assert (received["To"], received["Subject"]) == ("ada@example.org", "Your order T-1 is on its way")
    assert received["Date"].datetime == PAID_AT
    body = received.get_body()
    assert body is not None
    assert "Dear Gudrun Ólafsdóttir" in body.get_content()
    assert "35.90 €" in body.get_content()
    (attachment,) = received.iter_attachments()
    assert attachment.get_filename() == "INV-T-1.html"
    assert attachment.get_content().strip() == "<p>35.90 €</p>"


async def test_a_mail_that_is_delivered_twice_is_kept_once(tmp_path: Path) -> None:
    sent = a_confirmation(tmp_path / "INV-T-1.html")
    async with Mailbox(tmp_path / "mails") as mailbox:
        for _ in range(2):
            await asyncio.to_thread(deliver, sent, mailbox.address)
    assert len(mailbox.mails()) == 1


async def test_a_mail_without_an_identity_is_refused(tmp_path: Path) -> None:
    nameless = EmailMessage()
    nameless["From"], nameless["To"] = "a@example.org", "b@example.org"
    async with Mailbox(tmp_path) as mailbox:
        with pytest.raises(smtplib.SMTPDataError, match="a Message-ID is required"):
            await asyncio.to_thread(deliver, nameless, mailbox.address)
    assert mailbox.mails() == []


async def test_a_message_id_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Message-ID"] = "a@example.org", "b@example.org", "<../../x/y@z>"
    async with Mailbox(tmp_path / "mails") as mailbox:
        await asyncio.to_thread(deliver, mail, mailbox.address)
    assert [file.parent for file in mailbox.mails()] == [tmp_path / "mails"]


def test_a_server_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="refused"):
        deliver(a_confirmation(tmp_path / "INV-T-1.html"), MailServer(host="127.0.0.1", port=1))


def test_the_address_of_a_closed_mailbox_is_asked_in_vain(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the mailbox is not open"):
        Mailbox(tmp_path).address  # noqa: B018 reading it is the test
