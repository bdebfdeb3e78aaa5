"""How the server would carry out a claim, as it plans it now."""

from collections.abc import Iterator, Sequence

from attrs import field, frozen

from schedora.diagnosis.doctor.finding import Finding, FindingType, Observation, Severity, sized

CLAIM_PLAN = FindingType(
    "claim_plan",
    consequence="Every claim reads all that waits: the more jobs wait, the slower all of them become.",
    fix="See whether the index is there and valid, then: ANALYZE job_ready.",
)
CLAIM_COMPILED = FindingType(
    "claim_compiled",
    consequence="The server compiles statements for longer than they run: each claim takes a tenth of a second and more.",
    fix="ALTER ROLE {user!i} SET jit = off",
)

LANE_INDEX = "job_ready_lane_idx"
BIG_BYTES = 8 << 20
"""To read less from end to end takes no longer than the rest of a claim."""


@frozen(kw_only=True)
class TableScan:
    """How the plan comes to rows of ``job_ready``: by this index, or by none."""

    node: str
    index: str | None


@frozen(kw_only=True)
class ClaimPlan(Observation):
    """``compiled``: whether the server would compile it before it runs."""

    scans: Sequence[TableScan] = field(factory=tuple)
    size_bytes: int = 0
    compiled: bool = False
    user: str = ""

    def findings(self) -> Iterator[Finding]:
        astray = [scan for scan in self.scans if scan.index != LANE_INDEX]
        if astray and self.size_bytes >= BIG_BYTES:
            ways = ", ".join(sorted({f"{scan.node} by {scan.index or 'no index'}" for scan in astray}))
            yield CLAIM_PLAN.found(
                Severity.CRITICAL,
                f"a claim would go through job_ready ({sized(self.size_bytes)}) by other ways than {LANE_INDEX}: {ways}",
                ways=ways,
                size_bytes=self.size_bytes,
            )
        if self.compiled:
            yield CLAIM_COMPILED.found(
                Severity.WARNING, "the server would compile each claim (jit)", user=self.user
            )
