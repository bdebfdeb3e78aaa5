"""Lists as long as they were asked for."""

from schedora.entrypoints.cli.paging import filled
from schedora.entrypoints.sdk.api_views import Page


def test_short_pages_are_put_together_until_there_are_enough() -> None:
    asked: list[tuple[int, str | None]] = []
    answers = iter(
        [
            Page(data=(), next_cursor="a"),
            Page(data=(1, 2), next_cursor="b"),
            Page(data=(), next_cursor="c"),
            Page(data=(3,), next_cursor="d"),
        ]
    )

    def read(limit: int, cursor: str | None) -> Page[int]:
        asked.append((limit, cursor))
        return next(answers)

    assert filled(read, 3, "start") == Page(data=(1, 2, 3), next_cursor="d")
    assert asked == [(3, "start"), (3, "a"), (1, "b"), (1, "c")]


def test_the_end_is_the_end() -> None:
    answers = iter([Page(data=(1,), next_cursor="a"), Page[int](data=(), next_cursor=None)])
    assert filled(lambda _limit, _cursor: next(answers), 10, None) == Page(data=(1,), next_cursor=None)
