"""How busy this process is."""

from schedora.adapters.system.vitals import ProcessVitals


def test_share_of_processor_and_memory_are_percentages() -> None:
    vitals = ProcessVitals()
    sum(range(100_000))
    told = vitals()
    assert told.cpu_percent >= 0
    assert 0 < told.memory_percent < 100
