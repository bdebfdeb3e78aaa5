import re

import httpx
import pytest
from fastapi import FastAPI

from schedora.entrypoints.api.docs import ASSETS
from tests.unit.entrypoints.api.conftest import Api, problem

ROOT = "http://schedora.test"
OWN = re.compile(r"""(?:src|href|url|spec-url)\s*[=:]\s*["']([^"']+)["']""")


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_a_page_and_all_that_it_loads_come_from_here(api: Api, page: str) -> None:
    answer = await api.get(ROOT + page)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "://" not in answer.text
    addresses = OWN.findall(answer.text)
    assert len(addresses) >= 3
    for address in addresses:
        assert (await api.get(ROOT + address)).status_code == 200, address


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_a_browser_is_told_to_ask_no_other_host(api: Api, page: str) -> None:
    policy = (await api.get(ROOT + page)).headers["content-security-policy"]

    assert policy.startswith("default-src 'self'")
    assert "http" not in policy
    assert "*" not in policy


async def test_behind_a_prefix_the_addresses_carry_it(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, root_path="/schedora")
    async with httpx.AsyncClient(transport=transport, base_url=ROOT) as api:
        for page in ("/schedora/docs", "/schedora/redoc"):
            addresses = OWN.findall((await api.get(page)).text)
            assert addresses
            assert all(address.startswith("/schedora/") for address in addresses)


async def test_an_asset_that_is_not_there(api: Api) -> None:
    problem(await api.get(f"{ROOT}{ASSETS}/nope.js"), 404)
    problem(await api.get(f"{ROOT}{ASSETS}/..%2f..%2fconsts.py"), 404)
