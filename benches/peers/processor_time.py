"""Which share of the processors others used during a measurement, from Linux' /proc (proc(5))."""

import os
import time
from pathlib import Path


def busy_ticks(stat: str) -> int:
    """Ticks in which a processor was not idle, stolen ones included, from /proc/stat."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.split()[1:9])
    return user + nice + system + irq + softirq + steal


def process_ticks(stat: str) -> int:
    """User and system ticks of a process, from /proc/PID/stat."""
    # The name is in brackets and may hold anything; utime is the 12th field behind it.
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class ForeignShare:
    """Counts from its making on; the processes given and this one are not foreign."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = [*pids, os.getpid()]
        self.start = time.perf_counter()
        self.foreign_ticks = self._foreign_ticks()

    def _foreign_ticks(self) -> int:
        own = (Path(f"/proc/{pid}/stat").read_text() for pid in self.pids)
        return busy_ticks(Path("/proc/stat").read_text()) - sum(map(process_ticks, own))

    def share(self) -> float:
        """The share since then, of all processors, in [0, 1]."""
        seconds = time.perf_counter() - self.start
        available = seconds * os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)
        used = self._foreign_ticks() - self.foreign_ticks
        return min(1.0, max(0.0, used / available))
