"""The files a checker publishes: a verdict per check, which keepalived tracks, and the heartbeat for its watchdog."""

from __future__ import annotations

import math
import os
from pathlib import Path

HEARTBEAT = "heartbeat"
"""Name of the heartbeat file; no check may be called so."""

HEARTBEAT_INTERVALS = 3
HEARTBEAT_FLOOR = 1.0
HANDOVER_SECONDS = 10.0
"""A heartbeat is good for three intervals, but for one second at least; for longer where a time-out is. The last one of
a checker that is told to stop is good until its successor has had an answer, on a machine that has much else to do."""


def write_atomically(path: Path, text: str, *, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
    """Replaces the file in one step: a reader, and a kill at any moment, finds the old or the new text, never half.

    ``owner`` is the uid and gid that it is given to, -1 for what stays root's. The directory may be another account's:
    no link that lies there is followed. Nothing is synced to disk, the run directory does not outlive the machine.
    Raises OSError.
    """
    place, name = os.path.split(path)
    fresh = f"{place}/.{name}.new"
    data = text.encode()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(fresh, flags, mode)
    except FileExistsError:  # left by a kill, or laid there by somebody
        os.unlink(fresh)  # noqa: PTH108 - as below
        handle = os.open(fresh, flags, mode)
    try:
        written = os.write(handle, data)
        if owner is not None:
            os.fchmod(handle, mode)  # whatever the umask is
            os.fchown(handle, *owner)
    finally:
        os.close(handle)
    if written != len(data):
        raise OSError(f"{fresh}: only {written} of {len(data)} bytes could be written")
    os.replace(fresh, path)  # noqa: PTH105 - no pathlib, as above


def write_in_place(path: Path, text: str) -> None:
    """Overwrites a short file: that takes no room where it is there already, so a full disk does not stop it.

    One write(2): a reader, and a kill at any moment, finds the old or the new text; keepalived hears of it.
    Raises OSError.
    """
    data = text.encode()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        written = os.write(handle, data)
        if os.fstat(handle).st_size > len(data):
            os.ftruncate(handle, len(data))
    finally:
        os.close(handle)
    if written != len(data):
        raise OSError(f"{path}: only {written} of {len(data)} bytes could be written")


def uptime_in(seconds: float, uptime: str = "/proc/uptime") -> str:
    """A line for sh: what /proc/uptime will say in so many seconds, in hundredths of a second. Raises OSError.

    Wrappers read the same file and not the clock behind it: where a container has an uptime of its own (lxcfs), the two
    differ.
    """
    handle = os.open(uptime, os.O_RDONLY | os.O_CLOEXEC)
    try:
        now = float(os.read(handle, 64).split()[0])
    finally:
        os.close(handle)
    # Always as long, for it is written in place.
    return f"{round((now + seconds) * 100):014d}\n"


class Verdict:
    """The verdict file of one check, holding `up` or `down`."""

    def __init__(self, path: Path, up: int, down: int) -> None:
        self.path = path
        self._texts = {True: f"{up}\n", False: f"{down}\n"}

    def write(self, *, up: bool, owner: tuple[int, int] | None = None) -> None:
        """Publishes; keepalived acts on it within milliseconds. Raises OSError."""
        if owner is None:
            write_in_place(self.path, self._texts[up])
        else:
            write_atomically(self.path, self._texts[up], owner=owner)

    def was_up(self) -> bool:
        """What the file says now: True only when it says up; absent, unreadable or anything else is not up."""
        try:
            return self.path.read_text(encoding="utf-8").strip() == self._texts[True].strip()
        except (OSError, UnicodeDecodeError):
            return False


class Heartbeat:
    """Tells the watchdog until when it may trust the verdicts, in the clock of /proc/uptime (CLOCK_BOOTTIME)."""

    def __init__(
        self, directory: Path, interval: float, timeout: float, *, uptime: Path = Path("/proc/uptime")
    ) -> None:
        self._path = directory / HEARTBEAT
        good_for = max(HEARTBEAT_INTERVALS * interval, HEARTBEAT_FLOOR)
        # Whole intervals, so that one wake-up of the process serves a probe and a beat.
        self.period = interval * max(1, math.floor(good_for / HEARTBEAT_INTERVALS / interval))
        # A checker that starts again beats with its first result, which may take the whole time-out.
        first_result = self.period + HEARTBEAT_FLOOR + timeout
        self._good_for = max(good_for, first_result) if timeout > interval else good_for
        self._uptime = str(uptime)
        self._has_begun = False

    def beat(self, owner: tuple[int, int] | None = None) -> None:
        """Writes the deadline in centiseconds since boot. Raises OSError."""
        self._has_begun = True
        self._write(self._good_for, owner)

    def hand_over(self) -> None:
        """The last beat, for a successor that is about to start: a reload is no reason to go. Raises OSError."""
        if self._has_begun:
            self._write(max(self._good_for, HANDOVER_SECONDS), None)

    def _write(self, good_for: float, owner: tuple[int, int] | None) -> None:
        deadline = uptime_in(good_for, self._uptime)
        if owner is None:
            write_in_place(self._path, deadline)
        else:
            write_atomically(self._path, deadline, owner=owner)
