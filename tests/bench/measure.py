"""measure.py LOG FROM TO COMMAND…: runs a command and prints its seconds and its peak memory in MB.

What it says goes to LOG. The seconds are those between the first lines that hold FROM and TO; where these are empty, from start to
end. The memory is the process's own, not that of what it starts. A command that fails ends this with its last lines.
"""

import contextlib
import subprocess
import sys
import threading
import time

log, begin, end, *command = sys.argv[1:]


def high_water(process: subprocess.Popen, found: list[int]) -> None:
    """Reads the kernel's mark until the process is gone; it only ever rises."""
    while process.poll() is None:
        with contextlib.suppress(OSError), open(f"/proc/{process.pid}/status") as status:
            found[:] = [int(line.split()[1]) for line in status if line.startswith("VmHWM:")] or found
        time.sleep(0.01)


started, ended, peak = time.monotonic(), None, [0]
process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
watcher = threading.Thread(target=high_water, args=(process, peak))
watcher.start()
with open(log, "wb") as copy:
    for line in process.stdout:
        copy.write(line)
        if begin and begin.encode() in line:
            started, begin = time.monotonic(), ""
        elif end and ended is None and begin == "" and end.encode() in line:
            ended = time.monotonic()
process.wait()
ended = ended or time.monotonic()
watcher.join()
if process.returncode or begin:
    print("failed:" if process.returncode else f"never said {begin}:", *command, file=sys.stderr)
    sys.stderr.writelines(open(log, errors="replace").readlines()[-50:])
    sys.exit(1)
print(f"{ended - started:.3f} {peak[0] * 1024 / 1e6:.1f}")
