"""Children that cannot outlive us, and waiting on what they say instead of on time."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time

ENDING_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """The lab, the guest or the pump did not do what it should; the text says which and why."""


class Deadline:
    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left_s(self):
        return max(0.0, self.end - time.monotonic())


def unwind_on_signals():
    """Every signal that asks us to end unwinds the stack, so that every owner cleans up."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def signals_held():
    """Cleaning up is short and bounded: a second Ctrl-C waits until it is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(*command, limit_s=30, said=""):
    """Standard output of a short command; Failure with what it said on a non-zero status. `said`
    is its standard input."""
    done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=limit_s)
    if done.returncode:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def tail(path, lines):
    with open(path, errors="replace") as log:
        return "".join(log.readlines()[-lines:]).rstrip()


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A process that ends with its `with` block, or with us should we be killed."""

    end_limit_s = 10

    def __init__(self, command, log_path, stdin=subprocess.DEVNULL, stdout=None):
        self.name = os.path.basename(log_path).removesuffix(".log")
        self.log_path = log_path
        with open(log_path, "ab") as log:
            # Its own session: Ctrl-C at the terminal is for us, who then end it in order.
            self.process = subprocess.Popen(command, stdin=stdin, stdout=stdout or log,
                                            stderr=log, bufsize=0, start_new_session=True,
                                            preexec_fn=die_with_parent)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with signals_held():
            self.end()

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        """Reaches its children too."""
        if self.process.poll() is None:
            os.killpg(self.pid, number)

    def end(self):
        """Asks it to end, insists if need be, and returns its exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(self.end_limit_s)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return self.process.wait()


class Listener:
    """Reads what somebody says on a descriptor, up to a mark. Has `name` and `log_path`."""

    received = b""

    def read_until(self, mark, deadline):
        """What was said up to `mark`, which is dropped."""
        while mark not in self.received:
            ready, _, _ = select.select([self.heard_on()], [], [], deadline.left_s())
            chunk = os.read(self.heard_on(), 65536) if ready else b""
            if not chunk:
                why = "ended early" if ready else "did not answer in time"
                raise Failure(f"{self.name} {why}: {tail(self.log_path, 3) or 'no last words'}")
            self.received += chunk
        taken, self.received = self.received.split(mark, 1)
        return taken


class TalkingChild(Listener, Child):
    """One that is spoken to over its standard input and output."""

    def __init__(self, command, log_path):
        super().__init__(command, log_path, subprocess.PIPE, subprocess.PIPE)

    def __exit__(self, *_):
        super().__exit__()
        self.process.stdin.close()
        self.process.stdout.close()

    def write(self, data):
        self.process.stdin.write(data)

    def heard_on(self):
        return self.process.stdout.fileno()
