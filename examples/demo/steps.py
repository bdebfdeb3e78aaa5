"""What the demo sees of its workflows: a snapshot of every step, and what changed since the last one."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from attrs import frozen

ENDED = frozenset({"SUCCESS", "DEAD", "CANCELED"})


@frozen(kw_only=True)
class Step:
    """One job of a workflow at the moment of looking."""

    job_id: str
    key: str
    status: str = "PENDING"
    attempt: int = 0
    worker: str | None = None
    after: Sequence[str] = ()
    error: str | None = None
    started_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.status in ENDED


@frozen(kw_only=True)
class Run:
    """One workflow at the moment of looking. `title` is what people call it."""

    workflow_id: str
    title: str
    steps: Sequence[Step]

    @property
    def ended(self) -> bool:
        """Whether all steps have ended."""
        return all(step.ended for step in self.steps)

    @property
    def succeeded(self) -> bool:
        """Whether all steps have succeeded."""
        return all(step.status == "SUCCESS" for step in self.steps)

    def step(self, key: str) -> Step:
        """Return the step of that key; KeyError when there is none."""
        return self.by_key[key]

    @property
    def by_key(self) -> Mapping[str, Step]:
        """The steps by their key."""
        return {step.key: step for step in self.steps}


@frozen(kw_only=True)
class Change:
    """A step that is no longer as it was."""

    title: str
    step: Step


def changes(before: Sequence[Run], after: Sequence[Run]) -> Iterator[Change]:
    """Yield the steps whose status or attempt differs between two looks at the same workflows."""
    known = {step.job_id: (step.status, step.attempt) for run in before for step in run.steps}
    for run in after:
        for step in run.steps:
            if known.get(step.job_id, ("PENDING", 0)) != (step.status, step.attempt):
                yield Change(title=run.title, step=step)


def layers(steps: Sequence[Step]) -> list[list[Step]]:
    """Return the steps in columns: each stands one column right of the last that it waits for."""
    by_key = {step.key: step for step in steps}
    depths: dict[str, int] = {}

    def depth(key: str) -> int:
        if key not in depths:
            depths[key] = max((depth(upstream) + 1 for upstream in by_key[key].after), default=0)
        return depths[key]

    columns: list[list[Step]] = [[] for _ in range(max((depth(step.key) for step in steps), default=-1) + 1)]
    for step in steps:
        columns[depth(step.key)].append(step)
    return columns
