"""The command line that makes a process a container: bubblewrap inside `ip netns exec`, no engine needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

CHECKOUT = Path(__file__).resolve().parent.parent

# What an image has of the distribution; /root, /home, /var and the rest of the machine stay outside.
_SYSTEM = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "sys", "usr")


def interpreter() -> Path:
    """The Python that runs `ka` in a node: this one, or the checkout's when this one is not a virtual environment's."""
    own = Path(sys.prefix)
    in_checkout = CHECKOUT / ".venv"
    return (in_checkout if sys.prefix == sys.base_prefix and in_checkout.is_dir() else own) / "bin" / "python3"


def container(
    command: Sequence[str],
    *,
    namespace: str,
    hostname: str,
    capabilities: Iterable[str],
    data: Path | None,
    binds: Mapping[Path, str],
    info: int,
) -> list[str]:
    """`command` as PID 1 of a container with the network of `namespace`.

    `data` is mounted as /ka-data and every path of `binds` at its value, all read-only; bwrap writes the process's pid
    to the descriptor `info`.
    """
    options: list[str] = []
    for mount in (_system(), _checkout()):
        options += mount
    if data is not None:
        options += _bind(data, Path("/ka-data"))
    for source, target in binds.items():
        options += _bind(source, Path(target))
    options += ["--remount-ro", "/", "--chdir", str(CHECKOUT)]
    options += ["--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--hostname", hostname]
    options += ["--cap-drop", "ALL"]
    for name in capabilities:
        options += ["--cap-add", f"CAP_{name}"]
    return [
        *("ip", "netns", "exec", namespace),
        *("bwrap", *options, "--die-with-parent", "--info-fd", str(info), "--", *command),
    ]


def _system() -> Iterator[str]:
    for name in _SYSTEM:
        path = Path("/") / name
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run", "--symlink", "../run", "/var/run")
    for path in (Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - the container's own
        yield from ("--perms", "1777", "--tmpfs", str(path))


def _checkout() -> Iterator[str]:
    """The checkout and its Python at their own paths, so that an editable install works inside as it does outside.

    Not the checkout is mounted but what is in it: it may itself be a directory that only root can enter.
    """
    for entry in sorted(CHECKOUT.iterdir()):
        if entry.name == ".venv" or not entry.name.startswith("."):
            yield from _bind(entry, entry, "--ro-bind-try")  # an editor's temporary file may be gone again
    for prefix in (Path(sys.prefix), Path(sys.base_prefix)):
        if not any(prefix.is_relative_to(known) for known in (CHECKOUT, "/usr")):
            yield from _bind(prefix, prefix)


def _bind(source: Path, target: Path, option: str = "--ro-bind") -> Iterator[str]:
    """Mount `source`, read-only; the directories above `target` are open to all (bwrap makes them for root alone)."""
    for directory in reversed(target.parents):
        yield from ("--perms", "0755", "--dir", str(directory))
    yield from (option, str(source), str(target))
