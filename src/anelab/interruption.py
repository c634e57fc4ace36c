"""Ends what computes without end: at Ctrl-C, and after a limit.

Python runs its handlers of signals between its own instructions, so not while a library computes. A thread learns of
signals at once, and ends the call by what the library has for that."""

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NoReturn

from anelab.errors import AnelabError
from anelab.files import remove_drafts
from anelab.texts import printable

TIMEOUT_S = 120.0
"""For one call of a model that may be anybody's."""
GRACE_S = 3.0
"""After which a process that `exit_if_stuck` allows to ends, if the call has not."""
POLL_S = 0.2
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Call:
    """One that is watched. `reason` is "" until it is to end, then "signal" or "timeout"."""

    def __init__(self, what: str, timeout_s: float | None, end: Callable[[], None]) -> None:
        self.what, self.timeout_s, self.reason = what, timeout_s, ""
        self.thread = threading.get_ident()
        self._end, self._at = end, float("inf") if timeout_s is None else time.monotonic() + timeout_s

    def is_late(self) -> bool:
        return not self.reason and time.monotonic() > self._at

    def is_stuck(self) -> bool:
        return bool(self.reason) and time.monotonic() > self._at

    def end(self, reason: str) -> None:
        self.reason, self._at = reason, time.monotonic() + GRACE_S
        self._end()

    def error(self) -> BaseException:
        if self.reason == "signal":
            return KeyboardInterrupt()
        return AnelabError(f"{self.what} has not answered after {self.timeout_s:g} s; --timeout gives it more time")


class _Watch:
    """The thread, and the calls that it ends."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.exits, self.takes_signals = False, True
        self._lock, self._busy = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._reader, self.writer = socket.socketpair()
        self._reader.setblocking(False)
        self.writer.setblocking(False)

    def add(self, call: Call) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="anelab-watch", daemon=True)
                self._thread.start()
            self.calls.append(call)
            if not self._busy.is_set():
                self._busy.set()

    def remove(self, call: Call) -> None:
        with self._lock:
            self.calls.remove(call)

    def _run(self) -> None:
        while self._busy.wait():
            if select.select([self._reader], [], [], POLL_S)[0] and set(self._reader.recv(64)) & set(ENDING):
                self._signalled()
            for call in list(self.calls):
                if call.is_late():
                    call.end("timeout")
                elif call.is_stuck() and self.exits:
                    _exit(call)
            with self._lock:  # many short calls must not wake this thread each time
                if not self.calls:
                    self._busy.clear()

    def _signalled(self) -> None:
        for call in list(self.calls):
            if call.reason == "signal" and self.exits:
                _exit(call)
            call.end("signal")


_watch: list[_Watch] = []
os.register_at_fork(after_in_child=_watch.clear)  # two processes must not share a socket


@contextmanager
def watched(what: str, timeout_s: float | None, end: Callable[[], None] = lambda: None) -> Iterator[None]:
    """A block that Ctrl-C and `timeout_s` seconds end, if `end`, which another thread calls, ends what it waits for.

    `what` names it in the AnelabError that is raised when it is late. In a thread other than the main one only the
    limit ends it. Raises KeyboardInterrupt for a signal."""
    watch, call = _the_watch(), Call(what, timeout_s, end)
    with _signal_numbers_to(watch):
        watch.add(call)
        try:
            yield
        except Exception:
            if call.reason:
                raise call.error() from None
            raise
        finally:
            watch.remove(call)
    if call.reason == "timeout":
        raise call.error()


def check_not_ended() -> None:
    """In a loop of ours: raises what ends a watched block that it runs in, if something does."""
    for call in _the_watch().calls:
        if call.reason and call.thread == threading.get_ident():
            raise call.error()


def exit_if_stuck() -> None:
    """For a process that does one thing: end it where a call cannot be ended otherwise, GRACE_S after it should have
    been, or at a second signal."""
    _the_watch().exits = True


@contextmanager
def ending_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end what runs as an error does, so that what is half written is taken away."""
    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if (before := signal.getsignal(number)) != signal.SIG_IGN:  # as nohup has it
                stack.callback(signal.signal, number, before)
                signal.signal(number, _end)
        yield


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def leave_signals() -> None:
    """For a process whose event loop takes the signals: only the limit ends a call."""
    _the_watch().takes_signals = False


def _the_watch() -> _Watch:
    if not _watch:
        _watch.append(_Watch())
    return _watch[0]


@contextmanager
def _signal_numbers_to(watch: _Watch) -> Iterator[None]:
    """Python writes the number of each signal that it has a handler for, as soon as it comes."""
    if not watch.takes_signals or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.set_wakeup_fd(watch.writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)


def _exit(call: Call) -> NoReturn:
    print("anelab: interrupted" if call.reason == "signal" else f"anelab: {printable(call.error())}", file=sys.stderr)
    sys.stderr.flush()
    remove_drafts()
    os._exit(130 if call.reason == "signal" else 1)
