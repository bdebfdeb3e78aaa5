"""What the processes of a torture are told."""

from schedora.entrypoints.settings import Settings
from schedora_torture.plan import process_settings
from tests.unit.torture.plans import a_plan


def test_reapers_of_a_torture_remove_no_record_of_a_database_that_was_named() -> None:
    told = process_settings(a_plan(), "postgresql://h/d", None)
    for name, about in Settings.model_fields.items():
        if "retention" in name:
            limits = [limit.le for limit in about.metadata if hasattr(limit, "le")]
            assert told[name.upper()] == f"{limits[0]:.0f}", "the longest that there is"
