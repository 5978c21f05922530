"""The table of programs and supervisord.conf say the same."""

from __future__ import annotations

import configparser

import pytest

from app.contract.errors import EXIT_CONFIG, EXIT_STOPPED
from app.contract.paths import SUPERVISORD_CONF, Layout
from app.contract.programs import (
    AFTER_THE_LOG,
    AT_ONCE,
    KEEPALIVED,
    PROGRAMS,
    RELOAD,
    RESTART,
    ROOT,
    SCRIPT_USER,
    SIBLINGS,
    SIGNAL,
    Program,
)

#: What supervisord.conf says of an account.
USERS = {ROOT: None, SIBLINGS: "%(ENV_SIBLINGS)s", SCRIPT_USER: "%(ENV_SCRIPT_USER)s"}


def blocks() -> dict[str, configparser.SectionProxy]:
    parser = configparser.RawConfigParser()
    parser.read(SUPERVISORD_CONF)
    return {name.partition(":")[2]: parser[name] for name in parser.sections() if ":" in name}


def expected_exits(program: Program) -> str | None:
    """What is no death: the end that a reload asks for, what a reload itself says, nothing of keepalived's."""
    if program.name == RELOAD:
        return f"{EXIT_STOPPED},{EXIT_CONFIG}"
    return {RESTART: "0", SIGNAL: "99"}.get(program.on_change)


def test_every_program_is_in_both() -> None:
    assert set(blocks()) == {program.name for program in PROGRAMS}


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.name for program in PROGRAMS])
def test_a_program_is_the_same_in_both(program: Program) -> None:
    block = blocks()[program.name]
    assert block.get("user") == USERS[program.account]
    assert block.getboolean("autostart", True) == (program.start == AT_ONCE)
    assert block.get("exitcodes") == expected_exits(program)
    assert (program.file is None) == (program.on_change is None)
    # keepalived, the forwarder: by option; the others: as their argument.
    assert program.file is None or f"%(ENV_RUN_DIR)s/{program.file}" in block["command"]


def test_they_start_in_the_order_of_the_table() -> None:
    priorities = [int(blocks()[program.name]["priority"]) for program in PROGRAMS]
    assert priorities == sorted(priorities)
    assert PROGRAMS[-1].name == KEEPALIVED, "it starts last and stops first"


def test_what_waits_for_the_log_reads_a_file() -> None:
    assert all(program.file for program in PROGRAMS if program.start == AFTER_THE_LOG)


def test_a_start_removes_their_files() -> None:
    assert {program.file for program in PROGRAMS if program.file} <= Layout.OWN_FILES
