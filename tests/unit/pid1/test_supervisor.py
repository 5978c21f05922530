"""Every name of supervisor's that app/pid1/supervisor.py uses exists, the private ones too: it is pinned to 4.3."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from supervisor import events, loggers, process, states, supervisord
from supervisor.medusa import asyncore_25
from supervisor.options import ServerOptions

from app.pid1 import supervisor

#: Of its classes: what is called or overridden; and what an instance gets where it is made.
CLASSES = {
    supervisord.Supervisor: "main run runforever tick reap handle_signal ordered_stop_groups_phase_2 "
    "process_groups stop_groups options",
    ServerOptions: "realize fork make_logger get_socket_map mood pidhistory logger loglevel",
    process.Subprocess: "spawn stop signal pid spawnerr config _prepare_child_fds",
    process.ProcessGroup: "processes",
    events.ProcessLogEvent: "process channel data",
    events.ProcessStateEvent: "process expected",
    loggers.Handler: "emit",
    loggers.LogRecord: "asdict level",
    loggers.Logger: "addHandler",
    asyncore_25.dispatcher: "readable writable handle_read_event handle_write_event handle_error",
}
#: Of its modules.
MODULES = {
    events: "subscribe ProcessStateStartingEvent ProcessStateRunningEvent ProcessStateFatalEvent "
    "ProcessStateExitedEvent ProcessStateBackoffEvent ProcessStateStoppedEvent",
    loggers: "getLogger LevelsByName",
    loggers.LevelsByName: "CRIT ERRO WARN",
    states.SupervisorStates: "RUNNING SHUTDOWN",
    asyncore_25: "ExitNow",
}


def test_the_version_is_the_pinned_one() -> None:
    assert version("supervisor").startswith("4.3.")


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner in CLASSES for name in CLASSES[owner].split()])
def test_a_class_has_the_name(owner: type, name: str) -> None:
    source = "".join(inspect.getsource(one) for one in inspect.getmro(owner) if one is not object)
    assert hasattr(owner, name) or re.search(rf"\bself\.{name}\b.*=", source)


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner in MODULES for name in MODULES[owner].split()])
def test_a_module_has_the_name(owner: object, name: str) -> None:
    assert hasattr(owner, name)


def test_what_its_own_main_sets() -> None:
    source = inspect.getsource(supervisord.main)
    assert "options.first = " in source
    assert "options.test = " in source


def test_its_own_words() -> None:
    assert f'"{supervisor._ITS_WORD}"' in inspect.getsource(process)
    assert f'"{supervisor._SAYS_NOTHING}\\n"' in inspect.getsource(process)
    assert "'received %s indicating" in inspect.getsource(supervisord)


def test_a_program_that_is_told_to_stop_before_it_is_executed_stops() -> None:
    """In a process of its own: what is called after a fork cannot be taken back."""
    story = """
import os, signal
from app.pid1.supervisor import _Options
signal.signal(signal.SIGTERM, lambda *_: None)
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
pid = _Options().fork()
if pid == 0:
    os._exit(0)  # as if executed, and told nothing
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    done = subprocess.run([sys.executable, "-c", story], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "-15 set()\n"
