"""Which columns have room."""

from schedora.entrypoints.cli.top.sheet import Cell, Column, Layout, Row, fitted, layout

COLUMNS = (
    Column(title="NAME", stretches=True),
    Column(title="COUNT", right=True),
    Column(title="ONCE", spare=1),
    Column(title="MORE", spare=2),
)
ROW = Row(key="a", cells=(Cell("a-long-name"), Cell("7", "red"), Cell("now"), Cell("then")))


def shown(shaped: Layout) -> str:
    return "".join(cell.text for cell in shaped.line(ROW))


def test_the_one_that_stretches_takes_what_is_left() -> None:
    assert shown(layout(COLUMNS, [ROW], 40)) == "a-long-name" + " " * 10 + "      7  now   then"
    assert len(shown(layout(COLUMNS, [ROW], 40))) == 40


def test_or_only_what_it_needs() -> None:
    assert shown(layout(COLUMNS, [ROW], 40, filled=False)) == "a-long-name      7  now   then"


def test_the_most_spare_goes_first() -> None:
    assert shown(layout(COLUMNS, [ROW], 25)) == "a-long-name       7  now "
    assert shown(layout(COLUMNS, [ROW], 19)) == "a-long-name       7"


def test_then_the_name_is_cut() -> None:
    assert shown(layout(COLUMNS, [ROW], 12)) == "a-lo…      7"
    assert shown(layout(COLUMNS, [ROW], 3)).startswith("…")


def test_the_heading_stands_over_its_column() -> None:
    shaped = layout(COLUMNS, [ROW], 25)
    assert "".join(cell.text for cell in shaped.heading()) == "NAME          COUNT  ONCE"


def test_cells_keep_their_style() -> None:
    assert [cell.style for cell in layout(COLUMNS, [ROW], 40).line(ROW)][2] == "red"


def test_without_rows_there_is_a_heading() -> None:
    assert "".join(cell.text for cell in layout(COLUMNS, [], 20).heading()).rstrip() == "NAME     COUNT  ONCE"


def test_wide_characters_take_two_places() -> None:
    assert fitted("日本", 5) == "日本 "
    assert fitted("日本語", 5) == "日本…"
    assert fitted("日本", 5, right=True) == " 日本"
    assert fitted("x", 0) == ""
