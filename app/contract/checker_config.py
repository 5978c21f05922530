"""What the http-checker is told: http-checker.json."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.contract.check_url import CheckUrl, parse_check_url


@dataclass(frozen=True, slots=True)
class CheckTarget:
    """One thing to probe and what counts as a good answer. ``body`` is a regular expression."""

    url: str = field(repr=False)
    status: tuple[tuple[int, int], ...] = ((200, 200),)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca_file: str | None = None
    insecure: bool = False
    body: str | None = None
    follow: bool = False

    @property
    def address(self) -> CheckUrl:
        """The parts of the URL."""
        return parse_check_url(self.url)

    def accepts(self, status: int) -> bool:
        """Whether a status code counts as success."""
        return any(low <= status <= high for low, high in self.status)

    @property
    def wanted(self) -> str:
        """The accepted status codes as people write them: `200-299,301`."""
        return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in self.status)

    @property
    def needs_tls(self) -> bool:
        """A followed redirect may lead to https."""
        return self.url.startswith("https:") or self.follow


@dataclass(frozen=True, slots=True)
class CheckerCheck:
    """One verdict: up when every target is up. Times in seconds; ``up`` and ``down`` are what its file says.

    ``instant``: a target is asked at once when something happened to it.
    """

    name: str
    up: int
    down: int
    interval: float
    fast_interval: float
    slow_interval: float
    timeout: float
    rise: int
    fall: int
    targets: tuple[CheckTarget, ...]
    instant: bool = False


@dataclass(frozen=True, slots=True)
class CheckerConfig:
    """Everything the checker does: where its verdicts go, and the report of every target's state."""

    verdicts: str
    log_level: str
    checks: tuple[CheckerCheck, ...]
    report: str

    @property
    def needs_tls(self) -> bool:
        """Whether any target needs it; loading it costs memory and start-up time."""
        return any(target.needs_tls for check in self.checks for target in check.targets)
