"""``docs/why.md`` names every code, with fields that there are."""

import re

from schedora.diagnosis.why.reason import BLOCKING, DELAYING, ReasonCode
from tests.docs.pages import ROOT, table
from tests.unit.diagnosis.why.test_explanation import EXAMPLES

PAGE = ROOT / "docs" / "why.md"
ROWS = table(PAGE, "code")
NUMBERS = {8: "eight", 3: "three"}


def test_every_code_is_told_with_its_fields() -> None:
    assert [row["code"] for row in ROWS] == [code.value for code in ReasonCode]
    for row in ROWS:
        told = set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", row["fields"])))
        examples = [fields.keys() - {"code"} for _, _, fields in EXAMPLES if fields["code"] == row["code"]]
        assert told == set().union(*examples), row["code"]


def test_what_blocks_stands_first_and_then_what_delays() -> None:
    codes = list(ReasonCode)
    assert set(codes[: len(BLOCKING)]) == BLOCKING
    assert set(codes[len(BLOCKING) : len(BLOCKING) + len(DELAYING)]) == DELAYING
    said = f"The first {NUMBERS[len(BLOCKING)]} keep every claim from taking the job; the next {NUMBERS[len(DELAYING)]} only"
    assert said in PAGE.read_text()


def test_what_to_do_is_told_for_codes_that_there_are() -> None:
    rows = table(PAGE, "the answer")
    assert {
        code
        for row in rows
        for code in re.findall(r"[a-z]+(?:_[a-z]+)*", row["the answer"].partition(", and")[0])
    } <= set(ReasonCode)
