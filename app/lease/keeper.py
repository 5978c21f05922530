"""The lease keeper: gives the VIPs of a master a few seconds more with each advert of this node that leaves it.

A node that is killed or frozen sends none, and the kernel takes its VIPs off before a peer takes over
(docs/decisions/0008-lease.md). Nothing depends on the keeper: without it keepalived puts a VIP that has run out back
within milliseconds, to stay. Run with ``-S`` it has 6 MiB of its own. What it prints is logged by PID 1.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from app.contract.errors import ConfigError
from app.contract.json_file import from_json
from app.contract.lease_config import LeaseConfig, lifetime
from app.lease.addresses import FOR_EVER, SECONDARY, AddressTable
from app.lease.adverts import adverts, listen
from app.lease.subnets import Subnets, promotes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.contract.lease_config import LeasedInstance
    from app.lease.addresses import Key
    from app.lease.adverts import OwnAdvert

#: Seconds between two renewals, where adverts come more often.
SPACING_SECONDS = 0.2

#: How an instance's adverts are known: the link, the IP version and the VRID.
Name = tuple[str, int, int]


class _Kept:
    """An instance, where its VIPs are, and what was last seen of it. Times are of time.monotonic."""

    def __init__(self, asked: LeasedInstance, before: _Kept | None) -> None:
        self.asked = asked
        self.keys = tuple(_keys(asked))
        #: When its last advert left; None after a goodbye.
        self.left: float | None = before.left if before else None
        self.renewed: float = before.renewed if before else float("-inf")


def _keys(asked: LeasedInstance) -> Iterable[Key]:
    for vip in asked.vips:
        family = socket.AF_INET6 if ":" in vip.address else socket.AF_INET
        try:
            index = socket.if_nametoindex(vip.link)
        except OSError:  # the link is not there
            continue
        yield family, index, socket.inet_pton(family, vip.address)


def _not_promoting(index: int) -> str:
    """The name of a link whose first address takes the others of its subnet along; empty where they stay."""
    try:
        link = socket.if_indextoname(index)
    except OSError:  # it has just gone, and all its addresses with it
        return ""
    return "" if promotes(link) else link


class Keeper:
    """The program: what it is told, what leaves this node, and which addresses are here."""

    def __init__(self, config: str) -> None:
        self._path = config
        self._table = AddressTable()
        self._links: dict[str, tuple[int, socket.socket]] = {}
        self._kept: dict[Name, _Kept] = {}
        self._of_vip: dict[Key, _Kept] = {}
        self._poll = select.poll()
        self._poll.register(self._table, select.POLLIN)
        self._config, self._stamp = LeaseConfig(()), (0, 0)
        self._leased: set[Key] = set()
        self._subnets = Subnets({}, ())
        self._said: set[str] = set()

    def run(self) -> None:
        """Until it is ended."""
        self._table.load()
        self._read()
        self._go_on()
        while True:
            ready = {fd for fd, _ in self._poll.poll()}
            self._take_in()
            self._read()
            for name, (_, heard) in list(self._links.items()):
                if heard.fileno() in ready:
                    for advert in self._newest(heard):
                        self._on_advert(name, advert)

    def give_back(self) -> None:
        """What has a lifetime stays for ever, as keepalived had it."""
        self._take_in(renew=False)
        self._set([(key, FOR_EVER) for key in self._leased])
        self._table.close()

    def _read(self) -> None:
        """Takes in the configuration, which a reload replaces."""
        try:
            state = os.stat(self._path)  # noqa: PTH116 - pathlib takes a MiB
            stamp = state.st_ino, state.st_mtime_ns
            if stamp == self._stamp:
                return
            with open(self._path, encoding="utf-8") as stream:  # noqa: PTH123 - pathlib takes a MiB
                self._config = from_json(stream.read(), LeaseConfig, self._path)
        except (OSError, ConfigError):
            return  # a reload has found that there is nothing to keep any more: PID 1 ends this program
        self._stamp = stamp
        self._look_at_links()

    def _look_at_links(self) -> None:
        """Listens on the links that are wanted and here: one that was made anew has another number."""
        wanted = {instance.link for instance in self._config.instances}
        here = {name: index for index, name in socket.if_nameindex() if name in wanted}
        for name, (index, heard) in list(self._links.items()):
            if here.get(name) != index:
                self._poll.unregister(heard)
                heard.close()
                del self._links[name]
        for name in here.keys() - self._links.keys():
            try:
                heard = listen(name)
            except OSError as error:
                self._say(f"cannot see the adverts that leave by {name}: {error.strerror}; VIPs stay without them")
                continue
            self._links[name] = here[name], heard
            self._poll.register(heard, select.POLLIN)
        kept: dict[Name, _Kept] = {}
        for asked in self._config.instances:
            its = asked.link, asked.ip_version, asked.vrid
            kept[its] = _Kept(asked, self._kept.get(its))
        self._kept = kept
        self._of_vip = {key: instance for instance in kept.values() for key in instance.keys}
        self._subnets = Subnets(self._table.entries, self._of_vip)
        # What a reload has taken from this program would run out under a keepalived that keeps it.
        self._set([(key, FOR_EVER) for key in self._leased - self._of_vip.keys()])

    def _take_in(self, *, renew: bool = True) -> None:
        """What has happened to addresses and links. A VIP that has just come gets its lifetime at once: the advert of
        a take-over leaves before it is there."""
        told = self._table.told()
        if told.links:
            self._look_at_links()
        elif any(key not in self._of_vip for key in (*told.addresses, *told.gone)):
            self._subnets = Subnets(self._table.entries, self._of_vip)
        if not renew:
            return
        now = time.monotonic()
        wanted = []
        for key in told.addresses:
            kept = self._of_vip.get(key)
            # What has a lifetime is the keeper's own doing.
            if kept and kept.left is not None and not self._table.entries[key].has_lifetime:
                seconds = lifetime(kept.asked.interval, now - kept.left)
                if seconds:
                    wanted.append((key, seconds))
        self._set(wanted)

    def _newest(self, heard: socket.socket) -> Iterable[OwnAdvert]:
        """The last advert of each instance that waits: after a time without the processor there are several, and an
        older one gives its VIPs less."""
        own = (advert for advert in adverts(heard) if advert.source in self._table.local)  # a router passes on others
        return {(advert.ip_version, advert.vrid): advert for advert in own}.values()

    def _on_advert(self, link: str, advert: OwnAdvert) -> None:
        kept = self._kept.get((link, advert.ip_version, advert.vrid))
        if kept is None:
            return
        if advert.priority == 0:
            kept.left = None
            return
        now = time.monotonic()
        kept.left = now - advert.age
        if now - kept.renewed < SPACING_SECONDS:
            return
        seconds = lifetime(kept.asked.interval, advert.age)
        if seconds:
            kept.renewed = now
            self._set((key, seconds) for key in kept.keys)

    def _go_on(self) -> None:
        """Takes over from a keeper that has died: an advert may have left meanwhile. What has a lifetime gets what is
        left until a peer would take over, in whole seconds, counted from its last renewal."""
        now = time.clock_gettime(time.CLOCK_MONOTONIC)
        wanted = []
        for key, kept in self._of_vip.items():
            entry = self._table.entries.get(key)
            if entry and entry.is_leased:
                seconds = lifetime(kept.asked.interval, now - entry.changed)
                if seconds:
                    wanted.append((key, seconds))
        self._set(wanted)

    def _set(self, wanted: Iterable[tuple[Key, int]]) -> None:
        lifetimes = []
        for key, seconds in wanted:
            entry = self._table.entries.get(key)
            if entry is None:
                self._leased.discard(key)
                continue
            has_neighbours = self._subnets.has_others(key, entry)
            is_first = key[0] == socket.AF_INET and has_neighbours and not entry.flags & SECONDARY
            if is_first and seconds != FOR_EVER and (link := _not_promoting(key[1])):
                # The kernel would take the others of its subnet along, and this machine's own address is one.
                vip = f"{socket.inet_ntop(key[0], key[2])} is the first address of its subnet on {link}"
                self._say(f"{vip}: it has no lifetime, for this machine's own would go with it")
                if key not in self._leased:
                    continue
                seconds = FOR_EVER  # noqa: PLW2901 - it had one before the other address came
            self._leased.add(key) if seconds != FOR_EVER else self._leased.discard(key)
            lifetimes.append((key, seconds, has_neighbours and key[0] == socket.AF_INET6))
        try:
            self._table.set_lifetimes(lifetimes)
        except OSError as error:
            self._say(f"{error.strerror}; VIPs stay until somebody removes them")

    def _say(self, sentence: str) -> None:
        """Once: what is wrong stays so."""
        if sentence not in self._said:
            self._said.add(sentence)
            print(sentence, file=sys.stderr, flush=True)


def main(config: str) -> None:
    """Until SIGTERM."""
    keeper = Keeper(config)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        keeper.run()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        keeper.give_back()


if __name__ == "__main__":
    main(*sys.argv[1:])
