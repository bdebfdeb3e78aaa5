from schedora.domain.process import FRESH_FOR, REPORTED_EVERY


def test_a_process_that_misses_one_report_is_not_given_up() -> None:
    assert FRESH_FOR > 2 * REPORTED_EVERY
