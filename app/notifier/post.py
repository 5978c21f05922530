"""POSTs transitions to an URL, one after the other, on a thread of its own: name look-ups cannot be hurried."""

from __future__ import annotations

import json
import sys
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING

from app.contract.hook_url import hook_url

if TYPE_CHECKING:
    import logging
    import ssl
    from collections.abc import Callable

    from app.contract.notifier_config import NotifierConfig
    from app.notifier.transition import Transition

#: Statuses besides 5xx that may be others a little later: Request Timeout, Too Many Requests.
_LATER = (408, 429)


def body(transition: Transition, config: NotifierConfig) -> bytes:
    """What is sent (docs/hooks.md)."""
    moment, fraction = divmod(transition.time, 1)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    told = {
        "time": f"{stamp}.{int(fraction * 1000):03d}Z",
        "node": config.node,
        "instance": transition.instance,
        "state": transition.state,
        "previous": transition.previous,
        "priority": transition.priority,
        "vips": config.instances.get(transition.instance, ()),
    }
    return json.dumps(told).encode()


class Poster:
    """Has one transition at a time. `wake` is called, on its thread, when it is done with it, well or not."""

    def __init__(self, config: NotifierConfig, url: str, log: logging.Logger, wake: Callable[[], None]) -> None:
        self.current: Transition | None = None
        self._config = config
        self._limits = config.limits
        self._target = hook_url(url)
        self._log = log
        self._wake = wake
        self._inbox: SimpleQueue[Transition] = SimpleQueue()
        self._outbox: SimpleQueue[Transition] = SimpleQueue()
        # Without OpenSSL the process is 4 MiB smaller; None makes http.client's own `import ssl` an ImportError.
        self._tls: ssl.SSLContext | None = None
        if self._target.is_tls:
            import ssl  # noqa: PLC0415

            self._tls = ssl.create_default_context()
        else:
            sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # what the import system documents
        # Now, not with the first transition, which should be told of at once.
        import http.client  # noqa: PLC0415

        self._http = http.client
        threading.Thread(target=self._work, name="post", daemon=True).start()

    @property
    def label(self) -> str:
        """The URL, as far as it may be logged."""
        return self._target.label

    def post(self, transition: Transition) -> None:
        """Only when there is no `current` one."""
        self.current = transition
        self._inbox.put(transition)

    def finished(self) -> Transition | None:
        """The current one, once it is done with; then there is none."""
        if self._outbox.empty():
            return None
        self.current = None
        return self._outbox.get()

    def _work(self) -> None:
        while True:
            transition = self._inbox.get()
            try:
                self._deliver(transition)
            except Exception as error:  # noqa: BLE001 - this thread must not end, and nothing else must wait for it
                self._log.error("%s: %s could not be told: %s", self.label, transition, type(error).__name__)
            self._outbox.put(transition)
            self._wake()

    def _deliver(self, transition: Transition) -> None:
        """Tries until it is accepted, refused, or too late."""
        pause = self._limits.backoff
        while True:
            problem, may_change = self._attempt(body(transition, self._config))
            if problem is None:
                self._log.info("%s: told of %s", self.label, transition)
                return
            is_late = time.monotonic() + pause > transition.clock + self._limits.retry
            if is_late or not may_change:
                self._log.warning("%s: gave up telling of %s: %s", self.label, transition, problem)
                return
            self._log.info("%s: %s, telling of %s again in %g s", self.label, problem, transition, pause)
            time.sleep(pause)
            pause *= 2

    def _attempt(self, content: bytes) -> tuple[str | None, bool]:
        """What went wrong, if anything, and whether that may be otherwise a little later. No proxy of the environment
        is asked and no redirect followed."""
        host, port, timeout = self._target.host, self._target.port, self._limits.post
        connection = (
            self._http.HTTPConnection(host, port, timeout=timeout)
            if self._tls is None
            else self._http.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
        )
        try:
            connection.request("POST", self._target.path, content, self._target.headers)
            status = connection.getresponse().status
        except TimeoutError:
            return f"no answer within {timeout:g} s", True
        except OSError as error:
            return error.strerror or str(error) or type(error).__name__, True
        except self._http.HTTPException as error:
            # Its words may quote the request.
            return f"no HTTP answer ({type(error).__name__})", True
        finally:
            connection.close()
        if 200 <= status < 300:
            return None, False
        return f"status {status}", status >= 500 or status in _LATER
