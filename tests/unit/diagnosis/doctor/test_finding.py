"""Findings, and how they are worded."""

import pytest

from schedora.diagnosis.doctor.finding import FindingType, Severity, bad, sized, worst

OK, WARNING, CRITICAL = Severity


def test_the_worst_of_severities() -> None:
    assert worst([]) is OK
    assert worst([OK, CRITICAL, WARNING]) is CRITICAL
    assert worst([WARNING, OK]) is WARNING
    assert (bad(True), bad(False)) == (CRITICAL, WARNING)


def fix(template: str, **details: str | int | None) -> str:
    return FindingType("it", consequence="so", fix=template).found(WARNING, "what", **details).fix


def test_a_finding_is_of_its_finding_type() -> None:
    finding = FindingType("it", consequence="so", fix="do {pid}").found(CRITICAL, "what", pid=7, unused=None)
    assert (finding.code, finding.severity, finding.found) == ("it", CRITICAL, "what")
    assert (finding.consequence, finding.fix, finding.details) == ("so", "do 7", {"pid": 7, "unused": None})


def test_names_make_no_lines_of_their_own() -> None:
    assert (
        FindingType("it", consequence="so", fix="").found(WARNING, "queue a\nb waits").found
        == "queue a b waits"
    )


@pytest.mark.parametrize(
    ("template", "name", "quoted"),
    [
        ("resume {name!w}", "mail", "resume mail"),
        ("resume {name!w}", "a; rm -rf /", "resume 'a; rm -rf /'"),
        ("drop {name!i}", "jobs_idx", 'drop "jobs_idx"'),
        ("resume {name!a}", "mail", "resume mail"),
        ("resume {name!a}", "a b", "resume 'a b'"),
        ("resume {name!a}", "-q", "resume -- -q"),
        ("drop {name!i}", "user", 'drop "user"'),
        ("drop {name!i}", 'My"Index', 'drop "My""Index"'),
        ("drop {name!i}", "a; drop table jobs", 'drop "a; drop table jobs"'),
        ("rollback {name!l}", "it's", "rollback 'it''s'"),
        ("{name!s}", "plain", "plain"),
        ("{name!r}", "plain", "'plain'"),
        ("vacuum {name}", "", "vacuum"),
    ],
)
def test_names_in_a_fix_are_quoted_for_where_it_is_pasted(template: str, name: str, quoted: str) -> None:
    assert fix(template, name=name) == quoted


def test_braces_in_a_name_are_nothing_but_braces() -> None:
    assert fix("resume {name!w}", name="{pid}") == "resume '{pid}'"


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1 kB"), (8 << 20, "8.0 MB"), (1_610_612_736, "1.5 GB"), (1 << 39, "512.0 GB"), (1 << 41, "2.0 TB")],
)  # fmt: skip
def test_a_size_for_people(size: int, words: str) -> None:
    assert sized(size) == words
