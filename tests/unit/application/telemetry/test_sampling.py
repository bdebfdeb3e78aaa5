import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from schedora.application.telemetry.sampling import EVERYTHING, Sampler, SamplerKind
from schedora.domain.trace import TraceContext, new_traceparents
from tests.builders import TRACE

SAMPLED = TRACE
UNSAMPLED = TraceContext(trace_id=TRACE.trace_id, span_id=TRACE.span_id, sampled=False)


@pytest.mark.parametrize(
    ("kind", "ratio", "begun", "followed_sampled", "followed_unsampled"),
    [
        ("always_on", None, True, True, True),
        ("always_off", None, False, False, False),
        ("traceidratio", None, True, True, True),
        ("traceidratio", 0.0, False, False, False),
        ("parentbased_always_on", None, True, True, False),
        ("parentbased_always_off", None, False, True, False),
        ("parentbased_traceidratio", 0.0, False, True, False),
        ("parentbased_traceidratio", 1.0, True, True, False),
        ("always_on", 0.0, True, True, True),  # which has no use for it
    ],
)
def test_each_kind_decides_as_its_name_says(
    kind: str, ratio: float | None, *, begun: bool, followed_sampled: bool, followed_unsampled: bool
) -> None:
    sampler = Sampler.of(SamplerKind(kind), ratio)
    assert sampler.begun(SAMPLED).sampled is begun
    assert sampler.begun(UNSAMPLED).sampled is begun
    assert sampler.followed(SAMPLED).sampled is followed_sampled
    assert sampler.followed(UNSAMPLED).sampled is followed_unsampled


def test_without_a_ratio_it_is_all() -> None:
    assert Sampler.of(SamplerKind.TRACEIDRATIO) == Sampler(ratio=1.0, by_parent=False)


def test_the_second_half_of_the_id_decides() -> None:
    half = Sampler(ratio=0.5)
    assert half.takes(f"{0:016x}{(1 << 63) - 1:016x}")
    assert not half.takes(f"{0:016x}{1 << 63:016x}")


def test_what_is_not_decided_elsewhere_is_sampled() -> None:
    assert Sampler.of(SamplerKind.PARENTBASED_ALWAYS_ON) == EVERYTHING
    assert EVERYTHING.begun(TRACE) is TRACE


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_a_ratio_decides_as_opentelemetry_does(ratio: float) -> None:
    ours, theirs = Sampler.of(SamplerKind.TRACEIDRATIO, ratio), TraceIdRatioBased(ratio)
    taken = 0
    for number in range(2_000):
        trace_id = number * 0x9E3779B97F4A7C15 % (1 << 128) | 1
        decision = theirs.should_sample(None, trace_id, "name").decision
        assert ours.takes(f"{trace_id:032x}") is (decision is Decision.RECORD_AND_SAMPLE)
        taken += ours.takes(f"{trace_id:032x}")
    assert abs(taken / 2_000 - ratio) < 0.05


def test_many_headers_are_decided_one_by_one() -> None:
    bits = (7 << 64 | 1) << 192 | 9 << 64 | 1
    first, second = new_traceparents(2, bits, lambda trace_id: trace_id.endswith("9"))
    assert (first, second) == (f"00-{7:032x}-{1:016x}-00", f"00-{9:032x}-{1:016x}-01")
