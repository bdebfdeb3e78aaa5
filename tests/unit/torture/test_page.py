"""The page is whole, loads nothing, and lets nothing that was said become part of it."""

import re
from html.parser import HTMLParser

from schedora_torture.faults import FaultKind
from schedora_torture.page import page
from tests.unit.torture.reports import BREACH, a_recovery, a_report


class Tags(HTMLParser):
    """Complains of what is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    return tags


def test_it_is_whole_whatever_came_of_it() -> None:
    for report in (a_report(), a_report(breaches=[BREACH]), a_report(seconds=[], recoveries=[])):
        read(page(report))


def test_it_loads_nothing() -> None:
    text = page(a_report(breaches=[BREACH]))
    assert not re.search(r"(src|href)=|url\(|@import|<script", text)


def test_what_was_said_stays_text() -> None:
    assert "torture.<b>" not in page(a_report(breaches=[BREACH]))
    assert "torture.&lt;b&gt;" in page(a_report(breaches=[BREACH]))


def test_each_fault_has_its_bar_and_the_outages_of_the_database_their_shade() -> None:
    crash = [a_recovery(FaultKind.CRASH_POSTGRES, 1, 2)]
    killed = [a_recovery(FaultKind.KILL_WORKER, 3, 4, victim="worker-1.1")]
    bare = read(page(a_report(recoveries=[]))).seen.count("rect")
    assert read(page(a_report(recoveries=killed))).seen.count("rect") == bare + 1
    assert read(page(a_report(recoveries=crash))).seen.count("rect") == bare + 2
    assert "kill_worker worker-1.1, 3.0 to 4.0 s" in page(a_report(recoveries=killed))


def test_a_line_breaks_where_nothing_was_picked_up() -> None:
    assert read(page(a_report())).seen.count("polyline") == 4
