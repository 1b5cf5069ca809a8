"""wrk, the load generator: fires the pushes of a file at a door and says how it went."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import click

# Each request is sent once: a door that knows its repeats would look faster than it is.
_SCRIPT = """
local lines, at = {}, 0
for line in io.lines(os.getenv("BENCH_PUSHES")) do lines[#lines + 1] = line end
local headers = { ["Content-Type"] = "text/xml" }
function request()
   at = at + 1
   local query, body = lines[at]:match("([^\\t]*)\\t(.*)")
   return wrk.format("POST", wrk.path .. "?" .. query, headers, body)
end
function done(summary, latency)
   local bad = summary.errors
   print(string.format("RESULT %d %d %d %f %f %f", summary.requests, summary.duration,
      bad.connect + bad.read + bad.write + bad.status + bad.timeout,
      latency:percentile(50), latency:percentile(99), latency.max))
end
"""
_RESULT = re.compile(r"RESULT (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+) ([\d.]+)")


@dataclass(frozen=True)
class Load:
    """What one run of wrk saw; times in milliseconds."""

    requests: int
    per_second: float
    failed: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def fire(url: str, pushes: Path, *, connections: int, seconds: int) -> Load:
    """Send the pushes of a file, each at most once, over so many connections."""
    script = pushes.with_suffix(".lua")
    script.write_text(_SCRIPT)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
    try:
        said = subprocess.run(
            command, env={"BENCH_PUSHES": str(pushes)}, capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        raise click.ClickException("wrk is not installed (Debian: apt install wrk).") from None
    found = _RESULT.search(said)
    if found is None:
        raise click.ClickException(f"wrk ran out of pushes or failed:\n{said[-500:]}")
    requests, micros, failed = (int(found[n]) for n in (1, 2, 3))
    p50, p99, most = (float(found[n]) / 1000 for n in (4, 5, 6))
    return Load(requests, requests / (micros / 1e6), failed, p50, p99, most)
