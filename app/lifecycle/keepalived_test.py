"""Has keepalived test a configuration, and does not trust a bare 0: it also says 0 to files it never parsed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

from app.contract.errors import Problem
from app.plan.keepalived_text import bare_lines, block_depths, blocks_of_others
from app.render import END

#: A test takes 40 ms; one that takes longer than this hangs.
TEST_LIMIT_SECONDS = 20

#: What keepalived says, with status 0 or to the log alone, of parts it will not run as they were meant.
_DISABLED = re.compile(
    r"skipping|ignoring|disabl|unsafe|not accessible|does(?:n't| not) exist|Unable to", re.IGNORECASE
)

#: The directory of such copies (app.contract.paths).
_COPY = re.compile(r"[^\s(]*/conf\.d/[0-9a-f]{12}/")


def test(path: Path, conf_d: Path | None = None) -> list[Problem]:  # noqa: PT028 - it is none of pytest's
    """What is wrong with the keepalived.conf at ``path``; empty when keepalived will run all of it.

    ``conf_d``: where the operator's own text lies of which keepalived has copies.
    """
    return [
        Problem(problem.subject, _COPY.sub(f"{conf_d}/", problem.sentence)) if conf_d else problem
        for problem in _problems(path)
    ]


def _problems(path: Path) -> list[Problem]:
    unparsed = _would_not_be_parsed(path)
    if unparsed:
        return [unparsed]
    try:
        status, said = _config_test(path)
        if status == -signal.SIGTERM:
            status, said = _config_test_as_root(path)
    except FileNotFoundError:
        return [Problem("keepalived", "is not installed; install the package keepalived")]
    except OSError as error:
        return [Problem("keepalived", f"cannot be run: {error.strerror}; install the package keepalived again")]
    except subprocess.TimeoutExpired:
        return [Problem("keepalived", f"did not finish testing {path} within {TEST_LIMIT_SECONDS} s")]
    if status == 0:
        return [
            Problem("keepalived", f"would not run all of {path}: {line}") for line in said if _DISABLED.search(line)
        ]
    return [
        Problem("keepalived", f"refuses {path}: {line}")
        for line in said or [f"it ended with status {status} and said nothing"]
    ]


def _would_not_be_parsed(path: Path) -> Problem | None:
    """The cases in which keepalived says 0 to a file that it has not read, or not to its end, or would not run."""
    if not path.is_file():
        return Problem(str(path), "is missing; keepalived would start without any configuration")
    if path.stat().st_mode & 0o111:
        return Problem(str(path), "is executable, which makes keepalived skip it; chmod a-x it")
    text = path.read_text(encoding="utf-8")
    if not _is_whole(text):
        return Problem(str(path), "ends too early, a brace or a quote is never closed; it must be written again")
    if others := blocks_of_others(text):
        sentence = f"cannot have {', '.join(others)}, only VRRP runs here; it must be blocks of VRRP alone"
        return Problem(str(path), sentence)
    return None


def _config_test(path: Path) -> tuple[int, list[str]]:
    """The exit status of keepalived's own test and the lines that it printed, each once."""
    done = subprocess.run(
        ["keepalived", "--config-test", "--use-file", os.fspath(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TEST_LIMIT_SECONDS,
    )
    # keepalived says most things twice, once with the file and once without: the longer one says more.
    said: dict[str, str] = {}
    for line in (done.stdout + done.stderr).splitlines():
        key = re.sub(r"\((?:\S+: )?(Line \d+)\)", r"(\1)", line.strip())
        said[key] = max(said.get(key, ""), line.strip().replace(f"({path}: ", "("), key=len)
    return done.returncode, [line for line in said.values() if line]


def _config_test_as_root(path: Path) -> tuple[int, list[str]]:
    """The same with root as script user.

    keepalived 2.2.7 ends itself with SIGTERM in its test when scripts have an unprivileged user: having looked at
    the script as that user it arms its parent-death check, and in a test its parent is not keepalived.
    """
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f"{path.name}.", encoding="utf-8") as copy:
        copy.write(re.sub(r"^(\s*script_user)\s.*$", r"\1 root", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
        copy.flush()
        status, said = _config_test(Path(copy.name))
    return status, [line.replace(copy.name, str(path)) for line in said]


def _is_whole(text: str) -> bool:
    """Whether it has its end, and every brace and quotation is closed. Comments do not count."""
    depths = block_depths(text)
    is_closed = min(depths) == depths[-1] == 0 and not any('"' in line for line in bare_lines(text))
    return is_closed and text.endswith(END)
