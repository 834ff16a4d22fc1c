"""How an experiment ends early."""

import signal


class Stop:
    """A wish to end, which the runs at hand are told of: they end with a checkpoint."""

    def __init__(self):
        self.asked = False
        self.runs = set()

    def on_signal(self, number, _):
        self.asked = True
        # Ctrl-C comes to every process of the terminal by itself; launch/run.sh takes a second as
        # "at once".
        if number != signal.SIGINT:
            self.tell()

    def tell(self):
        for run in list(self.runs):
            run.send_signal(signal.SIGUSR1)

    def wait_for(self, run):
        """The exit code of a process that is told too."""
        self.runs.add(run)
        if self.asked:
            self.tell()
        code = run.wait()
        self.runs.discard(run)
        return code
