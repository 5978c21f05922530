"""The programs of a node, each once: what supervisord.conf says how to run, and what the others have to know of them.

A new one is a row here, a block in supervisord.conf and a room of its own.
"""

from __future__ import annotations

from collections import namedtuple

#: Those that PID 1 or a reload treats like no other.
LOG_FORWARDER, GUARD, RELOAD, KEEPALIVED, PEERS = "log-forwarder", "guard", "reload", "keepalived", "peers"
LEASE = "lease"

#: Whose account a program has (supervisord.conf: user).
ROOT, SIBLINGS, SCRIPT_USER = "root", "siblings", "script user"

#: What starts a program: supervisord itself, PID 1 as soon as the log forwarder is ready (no line is lost then), or a
#: request.
AT_ONCE, AFTER_THE_LOG, ON_REQUEST = "at once", "after the log", "on request"

#: What a reload does to a program whose file it changes: ends it, and supervisord starts it again; tells it by SIGHUP;
#: only starts or stops it with the file, which it reads again by itself.
RESTART, SIGNAL, FOLLOW = "restart", "signal", "follow"

#: What PID 1 does when a program has failed for good: ends the container; goes on, for no VIP depends on it; tries
#: again and goes on, if it has run before: a node that cannot be heard still serves, and PID 1 keeps its lines.
END, GO_ON, TRY_AGAIN = "end", "go on", "try again"

_COLUMNS = namedtuple(
    "_COLUMNS",
    ("name", "account", "start", "file", "on_change", "on_failure", "counts_deaths", "oom_score"),
    defaults=(None, None, END, True, 0),
)


class Program(_COLUMNS):
    """One program. The guard, which is to stay small, reads the table: a dataclass would cost it 1.9 MiB.

    ``file``: what it reads in the run directory and without which it is not run, None when there is no such file.
    ``oom_score``: how much sooner than PID 1 the kernel ends it when memory runs out (proc(5), oom_score_adj).
    ``counts_deaths``: whether it has failed for good when it dies too often; if not, only when it cannot be started.
    """

    __slots__ = ()


#: In the order in which they start; they stop in the opposite one.
PROGRAMS = (
    Program(LOG_FORWARDER, SIBLINGS, AT_ONCE, "rsyslog.conf", RESTART, TRY_AGAIN, counts_deaths=False, oom_score=400),
    Program(GUARD, SIBLINGS, AT_ONCE, oom_score=200),
    Program("http-checker", SIBLINGS, AFTER_THE_LOG, "http-checker.json", RESTART, oom_score=300),
    Program(PEERS, SIBLINGS, AFTER_THE_LOG, "peers.json", FOLLOW, oom_score=300),
    Program(RELOAD, ROOT, ON_REQUEST, on_failure=GO_ON, counts_deaths=False, oom_score=800),
    Program("notifier", SCRIPT_USER, AFTER_THE_LOG, "notifier.json", RESTART, GO_ON, oom_score=600),
    Program(LEASE, SIBLINGS, AFTER_THE_LOG, "lease.json", FOLLOW, TRY_AGAIN, counts_deaths=False, oom_score=100),
    Program(KEEPALIVED, ROOT, AFTER_THE_LOG, "keepalived.conf", SIGNAL),
)
BY_NAME = {program.name: program for program in PROGRAMS}
