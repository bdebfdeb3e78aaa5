"""Links lead to files and headings that are there."""

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links, name_of


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        address, _, anchor = link.target.partition("#")
        if address.startswith(("https://", "http://")):
            continue
        target = (path.parent / address).resolve() if address else path
        assert target.is_relative_to(ROOT), f"{link.place}: {link.target} leads out of the repository"
        assert target.exists(), f"{link.place}: there is no {link.target}"
        if anchor:
            assert anchor in anchors(target), f"{link.place}: {name_of(target)} has no heading #{anchor}"


@pytest.mark.parametrize("path", [path for path in PAGES if path.parent.name == "docs"], ids=name_of)
def test_the_readme_leads_to_every_page(path: Path) -> None:
    assert name_of(path) in {link.target.partition("#")[0] for link in links(ROOT / "README.md")}
