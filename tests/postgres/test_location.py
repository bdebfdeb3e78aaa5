"""What people write for a database's place, and what becomes of it."""

from datetime import timedelta

import pytest

from schedora.adapters.postgres.location import Location


@pytest.mark.parametrize(
    "scheme",
    ["postgresql", "postgres", "POSTGRES", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2"],
)
def test_schemes_of_all_programs_mean_the_same(scheme: str) -> None:
    assert Location.parse(f"{scheme}://u@h/d").url == "postgresql://u@h/d"


@pytest.mark.parametrize(
    ("url", "description"),
    [
        ("postgresql://u:secret@h:5433/d", "the database d at h:5433"),
        ("postgresql://u:secret@[::1]:5433/d", "the database d at [::1]:5433"),
        ("postgresql://u:secret@h1:1,h2/d", "the database d at h1:1,h2"),
        ("postgresql://u:a%40b%3Ac%2F@h/d", "the database d at h"),
        ("postgresql://u:secret@h", "the database u at h"),
        ("postgresql://u:secret@/d?host=/run/pg&port=1", "the database d at /run/pg"),
        ("postgresql:///?dbname=d&password=secret", "the database d at localhost"),
        ("postgresql:///?database=d", "the database d at localhost"),
        ("postgresql://", "the default database at localhost"),
    ],
)
def test_description_names_the_place_and_no_password(url: str, description: str) -> None:
    location = Location.parse(url)
    assert location.description == description
    assert "secret" not in f"{location!r}{location}"


def test_parameters_of_other_clients_are_left_out() -> None:
    url = "postgresql://h/d?keepalives=1&channel_binding=prefer&sslmode=require&application_name=x"
    assert Location.parse(url).url == "postgresql://h/d?sslmode=require&application_name=x"


@pytest.mark.parametrize(
    ("given", "taken"),
    [("ssl=true", "require"), ("ssl=false", "disable"), ("ssl=verify-full", "verify-full"),
     ("sslmode=allow&ssl=true", "allow")],
)  # fmt: skip
def test_ssl_as_sqlalchemy_has_it(given: str, taken: str) -> None:
    assert Location.parse(f"postgresql://h/d?{given}").url == f"postgresql://h/d?sslmode={taken}"


def test_what_the_url_says_beside_the_place() -> None:
    plain = Location.parse("postgresql://h/d?connect_timeout=0")
    assert (plain.connect_timeout, plain.pooled) == (None, None)
    told = Location.parse("postgresql://h/d?connect_timeout=7&pgbouncer=true")
    assert (told.url, told.connect_timeout, told.pooled) == ("postgresql://h/d", timedelta(seconds=7), True)
    assert Location.parse("postgresql://h/d?pgbouncer=false").pooled is False


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("", "has no ://"),
        ("localhost", "has no ://"),
        ("user:secret@host/db", "has no ://"),
        ("mysql://u:secret@h/d", "starts with mysql://"),
        ("postgresql://h/d?connect_timeout=soon", "connect_timeout .* not 'soon'"),
        ("postgresql://h/d?pgbouncer=1", "pgbouncer .* not '1'"),
        # Passwords whose characters are not escaped, so that they end up anywhere.
        ("postgresql://u:secret/secret@h/d", "no valid host and port .* %2F"),
        ("postgresql://u:12/secret@h/d", "no valid host and port"),
        ("postgresql://u:12?secret@h/d", "no valid host and port"),
        ("postgresql://u:12#secret@h/d", "no valid host and port"),
        ("postgresql://u:sec[ret@h/d", "no valid host and port"),
        ("postgresql://u:secret\u2100@h/d", "no valid host and port"),
        ("postgresql://u:secret@h:99999/d", "no valid host and port"),
        ("postgresql://u:secret@h1:1,h2:x/d", "no valid host and port"),
    ],
)
def test_what_is_no_place_is_told_in_one_line_without_password(url: str, part: str) -> None:
    with pytest.raises(ValueError, match=part) as refused:
        Location.parse(url)
    line = str(refused.value)
    assert "\n" not in line
    assert "secret" not in line
    assert "12" not in line
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
