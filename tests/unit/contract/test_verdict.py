"""What is published is whole at any moment, and reads back as what it was."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from app.contract.verdict import Heartbeat, Verdict, write_atomically, write_in_place

if TYPE_CHECKING:
    from pathlib import Path


def test_a_verdict_reads_back(tmp_path: Path) -> None:
    verdict = Verdict(tmp_path / "http", 0, 1)
    assert not verdict.was_up()
    verdict.write(up=True)
    assert verdict.path.read_text() == "0\n"
    assert verdict.was_up()
    verdict.write(up=False)
    assert verdict.path.read_text() == "1\n"
    assert not verdict.was_up()
    assert [path.name for path in tmp_path.iterdir()] == ["http"]


@pytest.mark.parametrize("text", ["", "00", "1", "0 1", "\xff"])
def test_what_does_not_say_up_is_not_up(tmp_path: Path, text: str) -> None:
    path = tmp_path / "http"
    path.write_bytes(text.encode("latin-1"))
    assert not Verdict(path, 0, 1).was_up()


def test_a_verdict_written_without_a_line_end_counts(tmp_path: Path) -> None:
    (tmp_path / "http").write_text("0")
    assert Verdict(tmp_path / "http", 0, 1).was_up()


def test_a_reader_and_a_kill_find_old_or_new_never_half(tmp_path: Path) -> None:
    path = tmp_path / "http"
    long = 20_000
    code = (
        "import sys, pathlib\n"
        "from app.contract.verdict import write_atomically\n"
        "path = pathlib.Path(sys.argv[1])\n"
        f"while True: [write_atomically(path, mark * {long}) for mark in 'ab']\n"
    )
    for _round in range(5):
        writer = subprocess.Popen([sys.executable, "-P", "-c", code, path])
        try:
            limit = time.monotonic() + 30
            while not path.exists():
                assert time.monotonic() < limit
            for _read in range(100):
                assert path.read_text() in ("a" * long, "b" * long)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        assert path.read_text() in ("a" * long, "b" * long)


def test_a_full_disk_is_an_error_and_keeps_the_old_text(tmp_path: Path, root: None) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "full", tmp_path], check=True)
    try:
        path = tmp_path / "http"
        write_atomically(path, "1\n")
        with pytest.raises(OSError, match=r"No space left|only \d+ of \d+ bytes"):
            write_atomically(path, "0\n" * 4096)
        assert path.read_text() == "1\n"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_link_that_lies_there_is_not_followed(tmp_path: Path) -> None:
    """The checker's account may lay one where root writes a verdict: it was written through, and given away."""
    precious = tmp_path / "precious"
    precious.write_text("mine\n")
    (tmp_path / ".http.new").symlink_to(precious)
    write_atomically(tmp_path / "http", "0\n", owner=(-1, -1))
    assert precious.read_text() == "mine\n"
    assert (tmp_path / "http").read_text() == "0\n"
    assert not (tmp_path / "http").is_symlink()


def test_what_is_written_in_place_needs_no_room(tmp_path: Path) -> None:
    path = tmp_path / "http"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], check=True)
    try:
        write_in_place(path, "1\n")
        before = path.stat().st_ino
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "filling").write_bytes(bytes(1 << 20))
        with pytest.raises(OSError, match="No space left"):
            write_atomically(path, "0\n")
        write_in_place(path, "0\n")
        assert (path.read_text(), path.stat().st_ino) == ("0\n", before)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_what_is_written_in_place_leaves_nothing_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "http"
    path.write_text("0 and more\n")
    write_in_place(path, "1\n")
    assert path.read_text() == "1\n"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("theirs")
    (tmp_path / "http").symlink_to("other")
    with pytest.raises(OSError, match="symbolic links"):
        write_in_place(tmp_path / "http", "1\n")
    assert (tmp_path / "other").read_text() == "theirs"


@pytest.mark.parametrize(
    ("interval", "timeout", "good_for"),
    [(2.0, 2.0, 600), (0.5, 0.5, 150), (0.1, 0.1, 100), (30, 1, 9000), (2.0, 2.5, 600), (2.0, 10, 1300)],
)
def test_a_heartbeat_is_good_for_three_intervals_a_second_and_a_first_answer(
    tmp_path: Path, interval: float, timeout: float, good_for: int
) -> None:
    uptime = tmp_path / "uptime"
    uptime.write_text("1234.56 4321.00\n")
    Heartbeat(tmp_path, interval, timeout, uptime=uptime).beat()
    assert (tmp_path / "heartbeat").read_text() == f"{123456 + good_for:014d}\n"


def test_the_heartbeat_counts_as_the_watchdog_does(tmp_path: Path) -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    Heartbeat(tmp_path, 2.0, 2.0).beat()
    good_until = int((tmp_path / "heartbeat").read_text()) / 100
    assert before + 6 - 0.011 <= good_until <= time.clock_gettime(time.CLOCK_BOOTTIME) + 6
