"""One run of the whole engine: several workers, reapers and an API on the memory store, all of it decided by one seed."""

import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from attrs import evolve, frozen

from schedora.adapters.memory.workflows import jobs_of, with_live_counts
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.commands.workflows import WorkflowRequest
from schedora.application.encoding import decode_json
from schedora.application.errors import Conflict, NameTaken, NotFound, StoreUnavailable
from schedora.application.pipeline.limits import WorkerLimits
from schedora.application.ports.job_reader import JobFilter
from schedora.diagnosis.why.reason import ReasonCode, Why
from schedora.domain.ids import DEFAULT_TENANT, JobId, LeaseToken, WorkerId
from schedora.domain.job import Job
from schedora.domain.job_request import JobRequest
from schedora.domain.job_state import JobState
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import Settings
from schedora_torture import invariants
from schedora_torture.invariants import Guard, SideEffect
from tests.simulation.event_loop import SECOND_US, SimulatedClock, SimulatedLoop, Stuck
from tests.simulation.invariants import Bounds, Seen, Waiting, leaked_slots
from tests.simulation.network import SLOW_SECONDS, Network, Trouble
from tests.simulation.processes import ApiProcess, Process, ReaperProcess, WorkerProcess
from tests.simulation.rest import FAR, resting, told
from tests.simulation.timetable import Event, Mishap, Order, Timetable
from tests.simulation.witness import TERMS, Broken, Witness
from tests.simulation.workload import BUSY_SECONDS, NOTE, QUEUES, UNKNOWN, Stage, Workload

HEARTBEAT_TIMEOUT_SECONDS: Final = 9.0
SETTINGS: Final = Settings(
    _env_file=None,  # type: ignore[call-arg] # how pydantic takes it
    database_url=None,
    redis_url=None,
    worker_heartbeat_interval=HEARTBEAT_TIMEOUT_SECONDS / 3,
    worker_heartbeat_timeout=HEARTBEAT_TIMEOUT_SECONDS,
    worker_cleanup_after=30,
    worker_shutdown_timeout=5,
)
"""Short spans, so that much happens in little time; their proportions are those of the defaults."""
CALM_SECONDS_MAX: Final = 1_200
"""So long after the last trouble everything has settled, whatever the seed."""
AFTERMATH_SECONDS: Final = 20
"""What has ended may leave handlers behind that do not stop; not for longer."""
RESTART_SECONDS: Final = 12.0
ASK_AGAIN_SECONDS: Final = 1.5
BOUNDS: Final = Bounds.of(SETTINGS, WorkerLimits(), timedelta(seconds=SLOW_SECONDS))


@frozen(kw_only=True)
class Report:
    """What came of one seed."""

    seed: int
    broken: Broken | None
    trace: tuple[str, ...]
    jobs: int
    claims: int
    fenced: int
    steps: int
    seconds: float
    """Of simulated time."""
    struck: Counter[str]
    rested: Counter[ReasonCode]
    """For how many jobs each reason stood once all troubles were over."""

    def without_trace_if_well(self) -> "Report":
        return self if self.broken is not None else evolve(self, trace=())


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        chances = {name: random.Random(f"{seed}/{name}") for name in ("turns", "network", "work", "fate")}
        self.loop = SimulatedLoop(chances["turns"])  # type: ignore[abstract] # the engine asks for no more
        self.witness = Witness(self.loop)
        clock = SimulatedClock(self.loop)
        self.system = build_system(
            SETTINGS, database_url=None, clock=clock, randomness=SeededRandomness(seed, clock)
        )
        self.store = self.system.units._store  # type: ignore[attr-defined] # it is the memory store's
        self.network = Network(self.loop, chances["network"], self.store, self.witness.committed)
        self.witness.attend(self.store)
        self.witness.silence_allowed = timedelta(seconds=HEARTBEAT_TIMEOUT_SECONDS)
        self.stage = Stage()
        self._chance = chances["fate"]
        self._workload = Workload(chances["work"], self.stage)
        self._timetable = Timetable.drawn(self._chance)
        self.calm = False
        """Whether all troubles are over."""
        self._waiting = Waiting(self.store, BOUNDS, self.witness.name_of)
        self._submitted: list[JobRequest] = []
        self._rested: Counter[ReasonCode] = Counter()
        self._acknowledged: dict[str, JobId] = {}
        """By idempotency key."""
        self.workers = [self._worker(number) for number in range(1, self._chance.randint(2, 4) + 1)]
        self.reapers = [ReaperProcess(self, f"reaper-{number}") for number in (1, 2)]
        self.api = ApiProcess(self, "api")

    @property
    def processes(self) -> Sequence[WorkerProcess | ReaperProcess | ApiProcess]:
        return (*self.workers, *self.reapers, self.api)

    def run(self) -> Report:
        try:
            self._begin()
            self._pass(BUSY_SECONDS)
            self._calm_down()
            self._come_to_rest()
            if self.witness.broken is None:
                self._settle()
        except Stuck as error:
            self.witness.breaks(Seen.NO_DEFECTS, str(error))
        seconds = self.loop.now_us / SECOND_US
        self.witness.close()
        self.loop.wind_up()
        with self.store.committed() as tables:
            jobs = len(tables.jobs)
        return Report(
            seed=self.seed,
            broken=self.witness.broken,
            trace=tuple(self.witness.trace),
            jobs=jobs,
            claims=self.witness.claims,
            fenced=self.witness.fenced,
            steps=self.loop.steps,
            seconds=seconds,
            struck=self.network.struck,
            rested=self._rested,
        )

    def _worker(self, number: int) -> WorkerProcess:
        chance = self._chance
        return WorkerProcess(
            self,
            f"worker-{number}",
            slots=chance.randint(1, 4),
            # The first serves all of them: nothing is left without a worker.
            queues=() if number == 1 or chance.random() < 0.5 else (chance.choice(QUEUES),),
            locks_runs=chance.random() < 0.5,
            make_handlers=self.stage.handlers,
        )

    # What happens when.

    def _begin(self) -> None:
        for process in self.processes:
            process.start()
        for window in self._timetable.windows:
            self._at(window.begin, self._begin_trouble, window.trouble, window.chance)
            self._at(window.end, self._end_trouble, window.trouble)
        for event in self._timetable.events:
            self._at(event.at, self._befall, event)
        for _ in range(self._chance.randint(3, 14)):
            self._at(self._chance.random() * BUSY_SECONDS, self._submit_some, self._chance.randint(1, 4))
        for number in range(self._chance.randint(0, 4)):
            self._at(self._chance.random() * BUSY_SECONDS, self._submit_workflow, f"flow-{number}")

    def _at(self, seconds: float, happens: Callable[..., None], *told: Any) -> None:
        self.loop.call_at(seconds, happens, *told, context=self.loop.outside)

    def _after(self, seconds: float, happens: Callable[..., None], *told: Any) -> None:
        self.loop.call_later(seconds, happens, *told, context=self.loop.outside)

    def _pass(self, until_seconds: float) -> None:
        while self.witness.broken is None and self.loop.now_us < until_seconds * SECOND_US:
            self.loop.run_until(min(self.loop.now_us + SECOND_US, int(until_seconds * SECOND_US)))
            self._look()

    def _look(self) -> None:
        """Once a second."""
        if not self.network.store_is_well:
            self._waiting.troubled()
        late = [
            *self._waiting.unclaimed(self.workers),
            *(self._waiting.held(self.workers) if self.calm else ()),
        ]
        for one in late:
            self.witness.breaks(one.invariant, one.told)

    def _begin_trouble(self, trouble: Trouble, chance: float) -> None:
        self.witness.tell("network", f"{trouble}: begins, {chance:.0%}")
        self.network.begin(trouble, chance)

    def _end_trouble(self, trouble: Trouble) -> None:
        self.witness.tell("network", f"{trouble}: ends")
        self.network.end(trouble)

    def _befall(self, event: Event) -> None:
        if isinstance(event.what, Order):
            self._order(event.what, event.whom)
            return
        struck = True
        match event.what:
            case Mishap.WORKER_VANISHES | Mishap.REAPER_VANISHES | Mishap.API_VANISHES:
                struck = self._crash(self._victim(event))
            case Mishap.WORKER_STALLS | Mishap.REAPER_STALLS:
                victim = self._victim(event)
                struck = victim.running
                if struck:
                    victim.stall(event.seconds)
                    if event.whom % 2:
                        self._after(event.seconds * 0.5, self._lose_patience, victim, event.whom)
            case Mishap.CLOCK_JUMPS:
                victim = self._victim(event)
                struck = victim.running
                victim.clock.wrong_by = timedelta(seconds=event.seconds)
                self.witness.tell(victim.name, f"its clock is wrong by {event.seconds:.0f} s from now on")
            case Mishap.WORKER_CUT_OFF:
                victim = self._victim(event)
                struck = victim.running
                victim.cut_off(min(event.seconds, BUSY_SECONDS - event.at))
            case Mishap.WORKER_STOPPED:
                struck = self._stop(self._victim(event))
        self.network.struck[event.what] += struck

    def _victim(self, event: Event) -> Process:
        if event.what is Mishap.API_VANISHES:
            return self.api
        reaper = event.what in (Mishap.REAPER_VANISHES, Mishap.REAPER_STALLS)
        among: Sequence[Process] = self.reapers if reaper else self.workers
        return among[event.whom % len(among)]

    def _crash(self, process: Process) -> bool:
        if not process.running:
            return False
        process.crash()
        return True

    def _stop(self, process: Process) -> bool:
        if not isinstance(process, WorkerProcess) or not process.running or process.worker is None:
            return False
        self.witness.tell(process.name, "is told to stop")
        process.drain()
        return True

    def ended(self, process: Process) -> None:
        """Whoever ended is started again, after a while, as supervisors do."""
        self._after(self._chance.random() * RESTART_SECONDS, self._restart, process)

    def _restart(self, process: Process) -> None:
        if not process.running and not self.witness.closed:
            process.start()

    # What users ask for.

    def _submit_some(self, count: int) -> None:
        requests = [self._workload.job() for _ in range(count)]
        self._submitted += requests
        for together in [requests] if count > 2 else [[request] for request in requests]:
            self._insist(lambda together=together: self._submit(together), _keys(together))  # type: ignore[misc] # mypy has no type for the default

    def _submit_workflow(self, name: str) -> None:
        workflow = self._workload.workflow(name)
        self._submitted += [step.request for step in workflow.steps]
        self._insist(lambda: self._create(workflow), _keys([step.request for step in workflow.steps]))

    def _insist(self, request: Callable[[], Coroutine[Any, Any, None]], keys: Sequence[str]) -> None:
        """Asks until it was answered: then what was asked for is there, and is there once."""
        if self.witness.closed or all(key in self._acknowledged for key in keys):
            return
        if self.api.running:
            self.api.ask(request())
        self._after(ASK_AGAIN_SECONDS, self._insist, request, keys)

    async def _submit(self, requests: Sequence[JobRequest]) -> None:
        with suppress(StoreUnavailable):
            for request, submission in zip(requests, await self.api.submit_jobs(requests), strict=True):
                self._acknowledge(request.idempotency_key, submission.job_id)

    async def _create(self, request: WorkflowRequest) -> None:
        try:
            created = await self.system.create_workflow(request)
        except NameTaken:
            with self.store.committed() as tables:
                jobs = jobs_of(tables, tables.workflow_names[DEFAULT_TENANT, request.name]).jobs
        except StoreUnavailable:
            return
        else:
            jobs = created.jobs
        for job in jobs:
            self._acknowledge(job.request.idempotency_key, job.job_id)

    def _acknowledge(self, key: str | None, job_id: JobId) -> None:
        if key is None:
            raise ValueError("every request here has a key")
        first = self._acknowledged.setdefault(key, job_id)
        if first != job_id:
            told = f"{key} was first {self.witness.name_of(first)}, then {self.witness.name_of(job_id)}"
            self.witness.breaks(Seen.NOTHING_LOST, told)

    def _order(self, order: Order, number: int) -> None:
        if self.api.running:
            self.api.ask(self._obey(order, number))

    def _lose_patience(self, process: Process, number: int) -> None:
        """People cancel what does not move."""
        held = [
            job_id for job_id, lease in self.store.index.leases.items() if lease.worker_id == process.name
        ]
        if held and self.api.running:
            self.api.ask(self._cancel(held[number % len(held)]))

    async def _cancel(self, job_id: JobId) -> None:
        with suppress(Conflict, StoreUnavailable):
            await self.system.cancel_job(job_id)
            self.network.struck[Order.CANCEL] += 1
            self.witness.tell("api", f"cancel: {self.witness.name_of(job_id)}")

    async def _obey(self, order: Order, number: int) -> None:
        told = await self._asked_for(order, number)
        if told is not None:
            self.network.struck[order] += 1
            self.witness.tell("api", f"{order.name.lower()}: {told}")

    async def _asked_for(self, order: Order, number: int) -> str | None:
        """What was done, for people; None where nothing was."""
        system = self.system
        with self.store.committed() as tables:
            cancels = order in (Order.CANCEL, Order.CANCEL_WORKFLOW)
            # Mostly what it makes sense to ask for; now and then something else, which is refused.
            sensible = number % 10 > 0
            job_ids = [job.job_id for job in tables.jobs.values() if not sensible or job.ended is not cancels]
            workflow_ids = [
                workflow_id
                for workflow_id, workflow in tables.workflows.items()
                if not sensible or workflow.ended is not cancels
            ]
            if order is Order.CANCEL and number % 2:
                job_ids = [*self.store.index.leases] or job_ids
            if order is Order.REQUEUE and sensible:
                job_ids = [job_id for job_id in job_ids if tables.jobs[job_id].status is not JobState.SUCCESS]
        queue = QUEUES[number % len(QUEUES)]
        try:
            match order:
                case Order.CANCEL | Order.REQUEUE if job_ids:
                    job_id = job_ids[number % len(job_ids)]
                    await (system.cancel_job if order is Order.CANCEL else system.requeue_job)(job_id)
                    return self.witness.name_of(job_id)
                case Order.REQUEUE_DEAD:
                    count = await system.requeue_dead(JobFilter())
                    return f"{count} jobs" if count else None
                case Order.PURGE:
                    count = await system.purge_queue(queue)
                    return f"{count} jobs in {queue}" if count else None
                case Order.PAUSE:
                    await system.pause_queue(queue)
                    return queue
                case Order.RESUME:
                    await system.resume_queue(queue)
                    return queue
                case Order.DRAIN:
                    name = self.workers[number % len(self.workers)].name
                    await system.drain_worker(WorkerId(name))
                    return name
                case Order.CANCEL_WORKFLOW | Order.RETRY_WORKFLOW if workflow_ids:
                    workflow_id = workflow_ids[number % len(workflow_ids)]
                    workflow = await (system.cancel_workflow if cancels else system.retry_workflow)(
                        workflow_id
                    )
                    return workflow.name
                case Order.DUPLICATE if self._acknowledged:
                    again = [one for one in self._submitted if one.idempotency_key in self._acknowledged]
                    request = again[number % len(again)]
                    await self._submit([request])
                    return request.idempotency_key
        except (Conflict, NotFound, StoreUnavailable):
            pass  # what may be answered to anybody
        return None

    # The end.

    def _calm_down(self) -> None:
        """All troubles are over: who stands still goes on, who is away comes back. What people have asked for stands."""
        self.witness.tell("world", "all troubles are over")
        self.calm = True
        self._waiting.troubled()
        for trouble in Trouble:
            self.network.end(trouble)
        for process in self.processes:
            process.go_on()
            if not process.running:
                process.start()

    def _come_to_rest(self) -> None:
        """Until nothing goes on by itself; then it has to be told why not."""
        begin = self.loop.now_us / SECOND_US
        for second in range(1, CALM_SECONDS_MAX + 1):
            self._pass(begin + second)
            if self.witness.broken is not None:
                return
            expected = self._resting()
            if expected is None:
                continue
            wrong = self._told_otherwise(expected)
            if expected == self._resting():  # else a late request has changed something
                for told_otherwise in wrong:
                    self.witness.breaks(Seen.SETTLED, told_otherwise)
                return
        self.witness.breaks(Seen.SETTLED, "; ".join(self._unsettled()[:3]))

    def _resting(self) -> Mapping[JobId, frozenset[ReasonCode]] | None:
        return resting(self.store, self.workers) if self._all_answered() else None

    def _told_otherwise(self, expected: Mapping[JobId, frozenset[ReasonCode]]) -> list[str]:
        """Asks why each job rests."""
        explained: dict[JobId, Why] = {}

        async def explain() -> None:
            for job_id in expected:
                explained[job_id] = await self.system.explain_job(job_id)

        self.api.ask(explain())
        while len(explained) < len(expected) and self.witness.broken is None:
            self._pass(self.loop.now_us / SECOND_US + 1)
        self._rested = sum((Counter(codes) for codes in expected.values()), Counter())
        for why in explained.values():
            self.witness.tell("world", f"{self.witness.name_of(why.job_id)} rests: {why.summary}")
        return [
            f"{self.witness.name_of(job_id)} rests for {sorted(expected[job_id])}, and it is said that {why.summary}"
            for job_id, why in explained.items()
            if told(why) != expected[job_id]
        ]

    def _set_right(self) -> None:
        """What people have asked for, be it before and obeyed only now, keeps nobody from the end; and what comes to no end by
        itself they give up.
        """
        for process in self.workers:
            if process.running and process.drained_by_request:
                process.drain()
        with self.store.committed() as tables:
            paused = [queue.name for queue in tables.queues.values() if queue.paused]
            far = self.store.clock.now() + FAR
            in_vain = [
                job.job_id
                for job in tables.jobs.values()
                if not job.ended and (job.scheduled_at > far or job.request.type == UNKNOWN)
            ]
        for name in paused:
            if self.api.running:
                self.api.ask(self._resume(name))
        for job_id in in_vain:
            if self.api.running:
                self.api.ask(self._cancel(job_id))

    async def _resume(self, queue: str) -> None:
        await self.system.resume_queue(queue)

    def _settle(self) -> None:
        begin = self.loop.now_us / SECOND_US
        self._set_right()
        for second in range(1, CALM_SECONDS_MAX + 1):
            self._pass(begin + second)
            self._set_right()
            if self.witness.broken is not None:
                return
            if self._settled():
                break
        else:
            self.witness.breaks(Seen.SETTLED, "; ".join(self._unsettled()[:3]))
            return
        end = self.loop.now_us + AFTERMATH_SECONDS * SECOND_US
        while self.loop.now_us < end and any(map(leaked_slots, self.workers)):
            self._pass(self.loop.now_us / SECOND_US + 1)
        self._look_back()

    def _settled(self) -> bool:
        with self.store.committed() as tables:
            return self._all_answered() and all(job.ended for job in tables.jobs.values())

    def _all_answered(self) -> bool:
        return all(one.idempotency_key in self._acknowledged for one in self._submitted)

    def _unsettled(self) -> list[str]:
        with self.store.committed() as tables:
            told = [
                f"{self.witness.name_of(job.job_id)} is {job.status}"
                for job in tables.jobs.values()
                if not job.ended
            ]
        told += [f"{one.idempotency_key} was never answered" for one in self._submitted
                 if one.idempotency_key not in self._acknowledged]  # fmt: skip
        return told

    def _look_back(self) -> None:
        witness = self.witness
        for error in self.loop.unheard():
            witness.defect("a task", error)
        with self.store.committed() as tables:
            jobs = [*tables.jobs.values()]
            for key, job_id in self._acknowledged.items():
                if job_id not in tables.jobs:
                    witness.breaks(Seen.NOTHING_LOST, f"{key} was accepted, and is gone")
            if len({job.request.idempotency_key for job in jobs if job.request.type != NOTE}) != len(
                [job for job in jobs if job.request.type != NOTE]
            ):
                witness.breaks(Seen.NOTHING_LOST, "two jobs have one idempotency key")
            for workflow_id in tables.workflows:
                workflow = with_live_counts(tables, workflow_id)
                witness.holds(invariants.of_workflow(workflow, jobs_of(tables, workflow_id).jobs, TERMS))
                if not workflow.ended:
                    witness.breaks(Seen.SETTLED, f"{workflow.name} is {workflow.status}")
        for job in jobs:
            witness.holds(invariants.of_job(job, TERMS))
        played = [job for job in jobs if job.request.type != NOTE]
        notes = [_effect(job) for job in jobs if job.request.type == NOTE]
        witness.holds(invariants.of_effects(played, [*self.stage.effects, *notes], TERMS))
        for process in self.workers:
            if (left := leaked_slots(process)) is not None:
                witness.breaks(Seen.SLOTS_FREED, left)


def _keys(requests: Sequence[JobRequest]) -> list[str]:
    return [request.idempotency_key for request in requests if request.idempotency_key is not None]


def _effect(note: Job) -> SideEffect:
    """What a handler wrote in the transaction that completed its job."""
    told = decode_json(note.request.payload)
    return SideEffect(
        job_id=JobId(UUID(told["job"])),
        lease_token=LeaseToken(told["token"]),
        attempt=told["attempt"],
        at=note.created_at,
        worker_id=WorkerId(told["worker"]),
        guard=Guard.COMPLETION,
    )
