"""Several workers behind one address: real processes, which are killed, stopped and kept from starting."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flow_world import PASSWORD_HASH
from nameplate.server.workers import compute_restart_pause
from nameplate.testing.serving import open_listener

NAMEPLATE = Path(sys.executable).with_name("nameplate")
CONFIGURATION = """
issuer = "http://127.0.0.1:{port}"
listen = "127.0.0.1:{port}"
workers = 3
store = {{ url = "sqlite:///{store}/store.sqlite3" }}
accounts = [{{ username = "alice", password_hash = "{password_hash}" }}]
resources = [{{ identifier = "http://127.0.0.1:8000/mcp", name = "Notes" }}]
"""
PATIENCE_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Server:
    """``nameplate serve`` with three workers, and what it logs."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def read_log(self, message: str) -> list[dict[str, Any]]:
        """The entries with this message, so far."""
        # A line is written at once, but a reader may come in the middle of it.
        lines = [line for line in self.log.read_text().splitlines(keepends=True) if line.endswith("}\n")]
        entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
        return [entry for entry in entries if entry["message"] == message]

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Look again and again. Without end the test would say nothing."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"in vain: {what}\n{self.log.read_text()}")
            time.sleep(0.01)

    def list_workers(self) -> set[int]:
        """The pids of all that ever served."""
        return {entry["worker"] for entry in self.read_log("serving")}

    def ask(self) -> None:
        """One request over a connection of its own. It leaves a line in the log of the worker that answered."""
        response = httpx2.get(f"http://127.0.0.1:{self.port}/authorize?client_id=x", trust_env=False, timeout=20)
        assert response.status_code == 400

    def answered(self) -> set[int]:
        """The pids of those that answered ``ask``."""
        return {entry["worker"] for entry in self.read_log("refused")}

    def is_refusing(self) -> bool:
        """Whether nobody listens any more."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0


def write_configuration(folder: Path, port: int, *, store: Path) -> Path:
    config = folder / "nameplate.toml"
    config.write_text(CONFIGURATION.format(port=port, store=store, password_hash=PASSWORD_HASH))
    return config


def free_port() -> int:
    listener, port = open_listener()
    listener.close()
    return port


@contextmanager
def run_server(folder: Path) -> Iterator[Server]:
    """Three workers that serve when the block is entered; at its end nothing of them is left."""
    port, log, store = free_port(), folder / "log", folder / "store"
    store.mkdir()
    config = write_configuration(folder, port, store=store)
    with log.open("wb") as stream:
        process = subprocess.Popen([NAMEPLATE, "serve", "-c", config], stderr=stream, start_new_session=True)
    server = Server(process=process, port=port, log=log)
    try:
        server.wait_for(lambda: process.poll() is not None or bool(server.read_log("all workers serve")), "a start")
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Whose parent was killed is adopted, and a zombie until its new parent looks.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def test_all_workers_answer_at_one_address(tmp_path: Path) -> None:
    with run_server(tmp_path) as server:
        workers = server.list_workers()
        assert len(workers) == 3
        assert server.process.pid not in workers

        def all_answered() -> bool:
            server.ask()
            return server.answered() == workers

        server.wait_for(all_answered, "an answer of each worker")
        for path in ("/healthz", "/readyz"):
            assert httpx2.get(f"http://127.0.0.1:{server.port}{path}", trust_env=False).json() == {"status": "ok"}


def test_the_parent_holds_nothing_but_the_listener(tmp_path: Path) -> None:
    with run_server(tmp_path) as server:
        parent = Path(f"/proc/{server.process.pid}")
        if not parent.exists():
            pytest.skip("there is no /proc here")
        assert len(list((parent / "task").iterdir())) == 1
        opened = [str(descriptor.readlink()) for descriptor in (parent / "fd").iterdir()]
        assert [path for path in opened if "sqlite3" in path or "eventpoll" in path] == []
        assert sum(path.startswith("socket:") for path in opened) == 1


def test_a_worker_that_is_killed_is_replaced_while_requests_go_on(tmp_path: Path) -> None:
    with run_server(tmp_path) as server:
        before = server.list_workers()
        victim = min(before)
        ended, failures = threading.Event(), []

        def ask_on() -> None:
            while not ended.is_set():
                try:
                    server.ask()
                except httpx2.TransportError as error:
                    failures.append(error)

        asking = threading.Thread(target=ask_on)
        asking.start()
        os.kill(victim, signal.SIGKILL)
        try:
            server.wait_for(lambda: len(server.list_workers() - before) == 1, "a replacement")
            (replacement,) = server.list_workers() - before
            server.wait_for(lambda: replacement in server.answered(), "an answer of the replacement")
        finally:
            ended.set()
            asking.join()
        assert len(failures) <= 1  # the one that the victim had begun
        (death,) = server.read_log("worker died")
        assert (death["worker"], death["how"]) == (victim, "signal 9")


def send_half_a_request(server: Server) -> socket.socket:
    """A request that a worker has begun to answer: it waits for the second half of the body."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(
        b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 29\r\nExpect: 100-continue\r\n\r\n"
    )
    assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
    connection.sendall(b"grant_type=authori")
    return connection


def read_to_end(connection: socket.socket) -> bytes:
    answer = b""
    while part := connection.recv(10_000):
        answer += part
    return answer


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGINT])
def test_an_order_to_stop_lets_requests_finish_and_ends_with_0(order: signal.Signals, tmp_path: Path) -> None:
    with run_server(tmp_path) as server, send_half_a_request(server) as connection:
        workers = server.list_workers()
        if order == signal.SIGINT:
            os.killpg(server.process.pid, order)  # as a terminal does for Ctrl-C
        else:
            server.process.send_signal(order)
        server.wait_for(server.is_refusing, "an end of listening")
        connection.sendall(b"zation_code")
        answer = read_to_end(connection)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"invalid_request" in answer
        assert server.process.wait(timeout=20) == 0
        assert not any(map(is_running, workers))
        text = server.log.read_text()
    assert "Traceback" not in text
    assert server.read_log("worker died") == []
    assert len(server.read_log("stopped")) == 3


def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    with run_server(tmp_path) as server:
        workers = server.list_workers()
        server.process.kill()
        server.process.wait()
        server.wait_for(server.is_refusing, "an end of listening")
        server.wait_for(lambda: not any(map(is_running, workers)), "the end of the workers")
        assert len(server.read_log("stopped")) == 3  # they finished what they had begun


def test_what_keeps_all_from_starting_is_said_once(tmp_path: Path) -> None:
    config = write_configuration(tmp_path, free_port(), store=tmp_path / "missing")
    result = subprocess.run([NAMEPLATE, "serve", "-c", config], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert re.fullmatch(r"nameplate: cannot \w+ .*/missing/store\.sqlite3: .*", line)


def test_a_worker_that_cannot_start_again_is_tried_less_and_less_often_until_it_can(tmp_path: Path) -> None:
    with run_server(tmp_path) as server:
        before = server.list_workers()
        (tmp_path / "store").rename(tmp_path / "away")
        os.kill(min(before), signal.SIGKILL)
        server.wait_for(lambda: len(server.read_log("worker died")) == 4, "three attempts")
        (tmp_path / "away").rename(tmp_path / "store")
        server.wait_for(lambda: len(server.list_workers() - before) == 1, "a replacement")
        killed, *attempts = server.read_log("worker died")
        assert killed["how"] == "signal 9"
        assert {attempt["how"] for attempt in attempts} == {"status 1"}
        assert len({attempt["worker"] for attempt in attempts}) == len(attempts)
        server.ask()


def test_pauses_double_from_a_quarter_of_a_second_to_half_a_minute() -> None:
    assert compute_restart_pause(0) == 0
    pauses = [compute_restart_pause(number) for number in range(1, 2000)]
    assert pauses[:4] == [0.25, 0.5, 1, 2]
    assert pauses[-1] == 30
    assert all(first <= second for first, second in pairwise(pauses))


PARENT = """
import logging, os, signal, sys, time
from pathlib import Path
from nameplate.server.listener import open_listener
from nameplate.server.workers import run_workers

logging.basicConfig(stream=sys.stderr, format="%(message)s")
listener = open_listener("127.0.0.1", 0)
{before}
worker = run_workers(2, listener, stop_seconds={stop_seconds})
if worker is not None:
    {in_worker}
    while True:
        time.sleep(60)
print("listener closed:", listener.fileno() == -1)
"""


def run_parent(
    in_worker: str, *, folder: Path, before: str = "", stop_seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program whose two workers do something else than to serve."""
    program = PARENT.format(in_worker=in_worker, before=before, stop_seconds=stop_seconds)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    stubborn = "signal.signal(15, signal.SIG_IGN); worker.report_ready(); os.kill(os.getppid(), 15)"
    result = run_parent(stubborn, folder=tmp_path, stop_seconds=0.2)
    assert (result.returncode, result.stdout) == (0, "listener closed: True\n")
    assert "worker died" in result.stderr


def test_a_second_ctrl_c_kills_at_once(tmp_path: Path) -> None:
    impatient = (
        "signal.signal(15, lambda *_: os.kill(os.getppid(), 2)); worker.report_ready(); os.kill(os.getppid(), 2)"
    )
    result = run_parent(impatient, folder=tmp_path)
    assert (result.returncode, result.stdout) == (0, "listener closed: True\n")
    assert "worker died" in result.stderr


@pytest.mark.parametrize(
    ("ending", "status", "said"),
    [("sys.exit(2)", 2, ""), ("sys.exit(0)", 1, "worker died\n"), ("os.kill(os.getpid(), 9)", 1, "worker died\n")],
)
def test_a_worker_of_the_first_round_that_ends_ends_all(ending: str, status: int, said: str, tmp_path: Path) -> None:
    first_serves = f"worker.report_ready() if not Path('x').exists() else {ending}; Path('x').touch()"
    result = run_parent(first_serves, folder=tmp_path)
    assert (result.returncode, result.stdout) == (status, "")
    # Who ends with a failure has said why. (The other worker, told to stop, dies of it here: it has no handler.)
    assert result.stderr == said + "worker died\n"


def test_a_system_without_processes_to_give_is_said_in_words(tmp_path: Path) -> None:
    refuse = """
def refuse():
    raise OSError(11, "Resource temporarily unavailable")
os.fork = refuse"""
    result = run_parent("pass", folder=tmp_path, before=refuse)
    assert result.returncode == 1
    assert "workers: the system gives no more processes: Resource temporarily unavailable." in result.stderr
