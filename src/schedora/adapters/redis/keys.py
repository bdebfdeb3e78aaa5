"""Every key by its name. All have an expiry and the same hash tag, the prefix in braces, so that they are in one slot of
a Cluster and one script may touch several.

=================================  ======  =======================================  ===============================
key after ``{prefix}:``          type    written by                               lives
=================================  ======  =======================================  ===============================
``probe``                          string  every process, to see that it may write  a minute
``kinds`` ``kinds:QUEUE``          zset    workers that wait for hints              until its last worker is silent
``tokens:KIND``                    list    whoever makes jobs claimable             seconds
``available`` ``available:QUEUE``  zset    idle workers                             until its last worker is silent
``availability:NAME``              hash    the worker, and who takes it             seconds
``listener:INCARNATION``           string  the worker: the name of its inbox        until it is silent
``inbox:NAME``                     list    whoever tells one worker something       seconds
``heartbeat:INCARNATION``          string  the worker's heartbeat                   until it is silent
``run:JOB_ID``                     string  the worker that runs it                  renewed with the heartbeat
``events``                         stream  whoever moves jobs, with a listener     minutes
``event-feed``                     hash    whoever tells events or reads them       minutes
``bucket:NAME``                    string  whoever takes tokens                     until it is full again
``job:FORM:JOB_ID``                string  whoever read a job that had succeeded    a minute
=================================  ======  =======================================  ===============================
"""

from uuid import UUID


class Keys:
    def __init__(self, prefix: str) -> None:
        self._tag = f"{{{prefix}}}:"

    def probe(self) -> str:
        return f"{self._tag}probe"

    def kinds(self, queue: str | None) -> str:
        """The kinds of workers that serve it; None for those that serve all queues."""
        return f"{self._tag}kinds" if queue is None else f"{self._tag}kinds:{queue}"

    def tokens(self, kind: str) -> str:
        return f"{self._tag}tokens:{kind}"

    def available(self, queue: str | None) -> str:
        """The names of the workers that offer to start jobs of it; None for those that serve all queues."""
        return f"{self._tag}available" if queue is None else f"{self._tag}available:{queue}"

    def availability(self, name: str) -> str:
        return f"{self._tag}availability:{name}"

    def listener(self, incarnation: UUID) -> str:
        return f"{self._tag}listener:{incarnation}"

    def inbox(self, name: str) -> str:
        return f"{self._tag}inbox:{name}"

    def heartbeat(self, incarnation: UUID) -> str:
        return f"{self._tag}heartbeat:{incarnation}"

    def run(self, job_id: UUID) -> str:
        """Whose value is the lease under which the job runs."""
        return f"{self._tag}run:{job_id}"

    def events(self) -> str:
        return f"{self._tag}events"

    def event_feed(self) -> str:
        """The stream's epoch, and the number of its last batch."""
        return f"{self._tag}event-feed"

    def bucket(self, name: str) -> str:
        return f"{self._tag}bucket:{name}"

    def job(self, job_id: UUID, form: str) -> str:
        """Releases that write jobs in different formats do not see each other's."""
        return f"{self._tag}job:{form}:{job_id}"
