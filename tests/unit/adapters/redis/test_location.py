"""URLs of a Redis."""

import ssl
from datetime import timedelta

import pytest

from schedora.adapters.redis.location import Address, Kind, Location


@pytest.mark.parametrize(
    ("url", "kind", "description"),
    [
        ("redis://localhost", Kind.SERVER, "Redis at localhost:6379"),
        ("redis://", Kind.SERVER, "Redis at localhost:6379"),
        ("REDIS://u:p@host:1234/3", Kind.SERVER, "Redis at host:1234"),
        ("redis://[::1]:1234", Kind.SERVER, "Redis at [::1]:1234"),
        ("rediss://:p@host", Kind.SERVER, "Redis at host:6379"),
        ("unix:///run/redis.sock?db=2", Kind.SOCKET, "Redis at /run/redis.sock"),
        ("redis+sentinel://u:p@a:1,b/mine/4", Kind.SENTINEL, "Redis mine of the Sentinels at a:1, b:26379"),
        ("redis+cluster://u:p@a:1,b", Kind.CLUSTER, "the Redis Cluster at a:1, b:6379"),
    ],
)
def test_each_form_is_read_and_described_without_its_password(url: str, kind: Kind, description: str) -> None:
    location = Location.parse(url)
    assert location.kind is kind
    assert location.description == description


def test_user_password_and_database() -> None:
    assert Location.parse("redis://us%40er:p%2Fw@h/3").options == {
        "username": "us@er",
        "password": "p/w",
        "db": 3,
    }
    assert Location.parse("redis://:p@h").options == {"password": "p"}
    assert Location.parse("unix:///s?username=u&password=p&db=2").options == {
        "username": "u",
        "password": "p",
        "db": 2,
    }
    assert Location.parse("redis://h?db=5").options == {"db": 5}


def test_sentinels_have_their_own_password_and_the_same_tls() -> None:
    location = Location.parse(
        "rediss+sentinel://u:p@a/mine/4?sentinel_username=s&sentinel_password=q&ssl_cert_reqs=none"
    )
    assert location.addresses == (Address("a", 26379),)
    assert location.service == "mine"
    assert location.tls
    assert location.options == {"username": "u", "password": "p", "db": 4, "ssl_cert_reqs": "none"}
    assert location.sentinel_options == {"username": "s", "password": "q", "ssl_cert_reqs": "none"}


def test_how_tls_is_done_passes_through() -> None:
    options = Location.parse(
        "rediss://h?ssl_ca_certs=/ca.pem&ssl_check_hostname=false&ssl_min_version=TLSv1.3"
    ).options
    assert options == {
        "ssl_ca_certs": "/ca.pem",
        "ssl_check_hostname": False,
        "ssl_min_version": ssl.TLSVersion.TLSv1_3,
    }
    assert Location.parse("rediss://h?ssl_min_version=771").options == {
        "ssl_min_version": ssl.TLSVersion.TLSv1_2
    }


def test_how_patient_to_be_and_with_how_many_connections() -> None:
    location = Location.parse("redis://h?socket_timeout=0.2&socket_connect_timeout=3&max_connections=4")
    assert location.command_timeout == timedelta(seconds=0.2)
    assert location.connect_timeout == timedelta(seconds=3)
    assert location.connections_max == 4
    assert location.options == {}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("localhost:6379", "no ://"),
        ("http://h", "http://"),
        ("s3cret s3cret://h", "another beginning"),
        ("redis://u:s3c/ret@h", "no valid host and port"),
        ("redis://u:s3c#ret@h", "no valid host and port"),
        ("redis://h:s3cret", "no valid host and port"),
        ("redis://h:70000", "no valid host and port"),
        ("redis+cluster://a,,b", "no valid host and port"),
        ("redis://h/one", "the database in a Redis URL can't be 'one'"),
        ("redis://h/-1", "the database in a Redis URL can't be '-1'"),
        ("redis://h?db=x", "the option db in a Redis URL can't be 'x'"),
        ("redis://h?socket_timeout=0", "the option socket_timeout in a Redis URL can't be '0'"),
        ("redis://h?socket_timeout=inf", "the option socket_timeout in a Redis URL can't be 'inf'"),
        ("redis://h?max_connections=0", "the option max_connections in a Redis URL can't be '0'"),
        ("rediss://h?ssl_cert_reqs=some", "the option ssl_cert_reqs in a Redis URL can't be 'some'"),
        ("rediss://h?ssl_check_hostname=x", "the option ssl_check_hostname in a Redis URL can't be 'x'"),
        ("redis://h?ssl_cert_reqs=none", "the option 'ssl_cert_reqs' is none of this kind of Redis URL"),
        ("redis://h?decode_responses=true", "the option 'decode_responses' is none of this kind"),
        ("redis://a,b", "several servers"),
        ("unix://host/path", "no path to a socket"),
        ("unix://", "no path to a socket"),
        ("redis+sentinel://a", "no name of a service"),
        ("redis+sentinel:///mine", "no Sentinels"),
        ("redis+cluster://a/1", "a database, which a Cluster does not have"),
        ("redis+cluster://a?db=1", "the option 'db' is none of this kind"),
    ],
)
def test_what_is_no_such_url_is_refused_in_one_line_that_tells_no_password(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match="Redis URL") as caught:
        Location.parse(url)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "s3c" not in str(caught.value)
