"""`python -m examples.demo`: see `demonstration.py`."""

import signal
import sys


def main() -> int:
    """Run the demo; return the exit status."""
    # Loading takes a while. Until the demo listens itself, Ctrl-C ends the process, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from examples.demo.demonstration import run  # noqa: PLC0415 as said above

    return run()


if __name__ == "__main__":
    sys.exit(main())
