"""Whether hints reach a worker."""

from schedora.application.ports.wakeup import Subscription


class Listening:
    """The worker's subscription to hints, once there is one."""

    def __init__(self) -> None:
        self.subscription: Subscription | None = None

    @property
    def healthy(self) -> bool:
        """Whether hints are known to arrive. When not, the store is polled at short intervals."""
        return self.subscription is not None and self.subscription.healthy
