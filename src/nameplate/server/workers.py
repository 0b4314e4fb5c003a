"""Several processes that answer at one address: workers, which serve, and their parent, which only watches them.

The parent holds the listening socket and nothing else: no store, no event loop, no thread. So nothing that a worker
uses was opened before it was forked, and workers share nothing but that socket and the stream for logs.

Each worker has two pipes to its parent. Through one it says that it serves; the end of that pipe tells the parent that
the worker is gone, however that came about. The end of the other tells the worker that the parent is gone.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from nameplate.errors import ConfigurationError

__all__ = ["STEADY_SECONDS", "Worker", "compute_restart_pause", "run_workers"]

logger = logging.getLogger("nameplate.server")

STEADY_SECONDS = 10
"""A worker that lived so long did not die of how it was started."""

_ORDERS: Final = (signal.SIGTERM, signal.SIGINT)
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 30.0
_READY = b"r"


def run_workers(count: int, listener: socket.socket, *, stop_seconds: float) -> "Worker | None":
    """Fork ``count`` workers, and watch over them until SIGTERM or SIGINT. It returns in every process, as fork does.

    In a worker it returns at once: a ``Worker``, by which it has to tell when it serves. In the parent it returns None
    when all have ended; those that have not ``stop_seconds`` after the order, or at a second SIGINT, are killed. From
    the order on, ``listener`` is closed. A worker that dies is replaced, after a pause where it died young.

    Raises ``SystemExit`` with its status in the parent where a worker of the first round ends before it ever served
    (it has said why), and ``ConfigurationError`` where the system gives no more processes.
    """
    return _Supervisor(count, listener, stop_seconds).run()


def compute_restart_pause(quick_deaths: int) -> float:
    """Seconds until a worker is replaced that is the n-th in a row to die young; none where n is 0."""
    if quick_deaths == 0:
        return 0.0
    return float(min(_FIRST_PAUSE_SECONDS * 2 ** min(quick_deaths - 1, 16), _LONGEST_PAUSE_SECONDS))


class Worker:
    """This process, as one of the workers."""

    def __init__(self, status: int, lifeline: int, stop_seconds: float) -> None:
        self._status = status
        threading.Thread(target=_end_with_parent, args=(lifeline, stop_seconds), daemon=True).start()
        for handler in logging.getLogger().handlers:
            handler.addFilter(_name_worker)

    def report_ready(self) -> None:
        """Tell the parent that this worker serves."""
        with contextlib.suppress(BrokenPipeError):  # the parent is gone, and this worker about to be told so
            os.write(self._status, _READY)


def _end_with_parent(lifeline: int, stop_seconds: float) -> None:
    """Nobody would stop this worker or replace it any more, and it would keep the address from the next server."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(stop_seconds)
    os._exit(1)


def _name_worker(record: logging.LogRecord) -> bool:
    record.worker = os.getpid()
    return True


@dataclass(slots=True)
class _Seat:
    """A place for a worker: taken, or vacant (no ``pid``) until ``due_at``. ``status`` is the pipe from the worker."""

    pid: int = 0
    status: int = -1
    is_ready: bool = False
    started_at: float = 0.0
    exit_code: int = 0
    quick_deaths: int = 0
    due_at: float = 0.0


class _Supervisor:
    """The parent. Nothing here ends in ``finally``: workers leave these methods too."""

    def __init__(self, count: int, listener: socket.socket, stop_seconds: float) -> None:
        self._seats = [_Seat() for _ in range(count)]
        self._listener = listener
        self._stop_seconds = stop_seconds
        self._is_first_round = True
        self._orders: list[int] = []
        self._lifeline, self._lifeline_held = os.pipe()
        self._bell, self._bell_rope = os.pipe()  # a signal writes its number here, which ends the waiting
        os.set_blocking(self._bell_rope, False)
        self._handlers: dict[signal.Signals, Any] = {}

    def run(self) -> Worker | None:
        signal.set_wakeup_fd(self._bell_rope, warn_on_full_buffer=False)  # first: an order in between would be lost
        self._handlers = {number: signal.signal(number, _do_nothing) for number in _ORDERS}
        for seat in self._seats:
            # One after the other: what is wrong for all is said once, and one alone makes or changes the store's
            # tables.
            worker = self._start_first(seat)
            if worker is not None or self._orders:
                break
        else:
            self._is_first_round = False
            logger.info("all workers serve", extra={"workers": len(self._seats)})
            worker = self._watch()
        if worker is None:
            self._stop()
        return worker

    def _start_first(self, seat: _Seat) -> Worker | None:
        try:
            worker = self._fork(seat)
        except OSError as error:
            self._stop()
            raise ConfigurationError("workers", f"the system gives no more processes: {error.strerror}.") from None
        if worker is not None:
            return worker
        while seat.pid and not seat.is_ready and not self._orders:
            self._wait(None)
        if not seat.pid and not self._orders:
            self._stop()
            sys.exit(max(seat.exit_code, 1))
        return None

    def _watch(self) -> Worker | None:
        """Replace who dies, until the order to stop."""
        while not self._orders:
            now = time.monotonic()
            for seat in self._seats:
                if seat.pid or seat.due_at > now:
                    continue
                try:
                    worker = self._fork(seat)
                except OSError as error:
                    logger.error("no worker can be started", extra={"detail": error.strerror})  # noqa: TRY400
                    self._vacate(seat)
                    continue
                if worker is not None:
                    return worker
            due_at = min((seat.due_at for seat in self._seats if not seat.pid), default=None)
            self._wait(None if due_at is None else due_at - now)
        return None

    def _fork(self, seat: _Seat) -> Worker | None:
        """A new process for the seat. It returns in both. Raises ``OSError``."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or what waits in it would be written twice
        reading, writing = os.pipe()
        # Until it has handlers of its own, the new process must not answer to a signal with those of the parent.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ORDERS)
        try:
            pid = os.fork()
            if pid == 0:
                self._leave_to_parent(reading)
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ORDERS)
        if pid == 0:
            return Worker(writing, self._lifeline, self._stop_seconds)
        os.close(writing)
        seat.pid, seat.status, seat.is_ready, seat.started_at = pid, reading, False, time.monotonic()
        return None

    def _leave_to_parent(self, reading: int) -> None:
        """In a new worker: the parent's own part in all this. SIGINT from a terminal is the parent's to pass on."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for descriptor in (reading, self._lifeline_held, self._bell, self._bell_rope):
            os.close(descriptor)
        for seat in self._seats:
            if seat.pid:
                os.close(seat.status)

    def _wait(self, seconds: float | None) -> None:
        """Until something is heard of a worker, an order comes, or the time is over."""
        talking = {seat.status: seat for seat in self._seats if seat.pid}
        poll = select.poll()
        for descriptor in (self._bell, *talking):
            poll.register(descriptor, select.POLLIN)
        for descriptor, _event in poll.poll(None if seconds is None else max(seconds, 0) * 1000):
            if descriptor == self._bell:
                self._orders += os.read(self._bell, 100)
            elif os.read(descriptor, 100):
                talking[descriptor].is_ready = True
            else:
                self._bury(talking[descriptor])

    def _bury(self, seat: _Seat) -> None:
        os.close(seat.status)
        _pid, status = os.waitpid(seat.pid, 0)
        seat.exit_code = os.waitstatus_to_exitcode(status)
        has_said_why = self._is_first_round and seat.exit_code > 0
        if not has_said_why and (not self._orders or seat.exit_code != 0):
            logger.error("worker died", extra={"worker": seat.pid, "how": _describe_end(seat.exit_code)})
        self._vacate(seat)

    def _vacate(self, seat: _Seat) -> None:
        now = time.monotonic()
        lived_well = seat.pid and seat.is_ready and now - seat.started_at >= STEADY_SECONDS
        seat.pid = 0
        seat.quick_deaths = 0 if lived_well else seat.quick_deaths + 1
        seat.due_at = now + compute_restart_pause(seat.quick_deaths)

    def _stop(self) -> None:
        """End all workers, then be as before."""
        self._signal_all(signal.SIGTERM)
        self._listener.close()  # else whoever connects now would wait for nobody
        deadline = time.monotonic() + self._stop_seconds
        while any(seat.pid for seat in self._seats):
            if time.monotonic() >= deadline or signal.SIGINT in self._orders[1:]:
                self._signal_all(signal.SIGKILL)
                deadline = float("inf")
                self._orders = self._orders[:1]
            self._wait(None if deadline == float("inf") else deadline - time.monotonic())
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for descriptor in (self._lifeline, self._lifeline_held, self._bell, self._bell_rope):
            os.close(descriptor)

    def _signal_all(self, number: signal.Signals) -> None:
        for seat in self._seats:
            if seat.pid:
                os.kill(seat.pid, number)  # not reaped yet, so that nobody else can have its pid


def _do_nothing(_number: int, _frame: object) -> None:
    """A signal with a handler of Python's is written to the wakeup descriptor; one without is not."""


def _describe_end(exit_code: int) -> str:
    return f"status {exit_code}" if exit_code >= 0 else f"signal {-exit_code}"
