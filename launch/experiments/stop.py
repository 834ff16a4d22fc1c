"""How an experiment ends early."""

import signal
import subprocess


class Stop:
    """A wish to end, which the runs at hand are told of: they end with a checkpoint. A run is a
    process of launch/run.sh in a session of its own, so that what comes to the whole group of this
    one comes to it through here alone."""

    def __init__(self):
        self.asked = False
        self.runs = set()

    def on_signal(self, number, _):
        # launch/run.sh takes USR1 as often as it comes, and a second TERM as "at once".
        again = self.asked and number != signal.SIGUSR1
        self.ask(signal.SIGTERM if again else signal.SIGUSR1)

    def ask(self, number=signal.SIGUSR1):
        if not self.asked:
            print("stopping: the runs at hand write checkpoints", flush=True)
        self.asked = True
        self.tell(number)

    def tell(self, number):
        for run in list(self.runs):
            run.send_signal(number)

    def run(self, words, log):
        """The exit code of a run."""
        run = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log,
                               stderr=subprocess.STDOUT, start_new_session=True)
        self.runs.add(run)
        if self.asked:
            self.tell(signal.SIGUSR1)
        code = run.wait()
        self.runs.discard(run)
        return code
