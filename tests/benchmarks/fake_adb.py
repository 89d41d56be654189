"""A fake `adb` executable with a fake phone behind it: a folder and the system's shell.

The phone is steered by files in its folder:
    state           what `adb devices` says of it (device)
    gone-after      how many more runs of benchmark_model it lives
    no-tools        it has no getprop, dumpsys, sha256sum
    emulator        it is one
    machine         what `uname -m` says (aarch64)
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

SERIAL = "FAKE0001"
SHELL = """
phone={phone}
getprop() {{
    case $1 in
    ro.product.manufacturer) echo Fake ;;
    ro.product.model) echo "Phone 1" ;;
    ro.soc.model) echo F1000 ;;
    ro.build.version.release) echo 14 ;;
    ro.kernel.qemu) [ -e $phone/emulator ] && echo 1 ;;
    esac
}}
dumpsys() {{
    case $1 in
    battery) printf 'Current Battery Service state:\\n  level: 87\\n  temperature: 312\\n' ;;
    thermalservice) printf 'IsStatusOverride: false\\nThermal Status: 1\\n' ;;
    esac
}}
uname() {{ if [ -e $phone/machine ]; then cat $phone/machine; else echo aarch64; fi; }}
if [ -e $phone/no-tools ]; then
    for one in getprop dumpsys sha256sum; do eval "$one() {{ echo \\"sh: $one: not found\\" >&2; return 127; }}"; done
fi
benchmark_model() {{ '{python}' '{tool}' "$phone" "$@"; }}
"""
TOOL = '''
"""A fake benchmark_model: the real one's lines, times that depend on the file's size alone."""
import sys
from pathlib import Path
phone, words = Path(sys.argv[1]), dict(one[2:].split("=", 1) for one in sys.argv[2:])
alive = phone / "gone-after"
if alive.exists():
    left = int(alive.read_text())
    if not left:
        (phone / "state").write_text("gone")
        sys.exit(9)
    alive.write_text(str(left - 1))
data = Path(words["graph"]).read_bytes()
if data[4:8] != b"TFL3":
    print("ERROR: Failed to load model " + words["graph"])
    sys.exit(1)
mean, runs = len(data) / 100, int(words["num_runs"])
with (phone / "ran").open("a") as log:
    log.write(words["graph"] + " " + words["num_threads"] + " " + " ".join(sys.argv[7:]) + "\\n")
print(f"""STARTING!
Log parameter values verbosely: [0]
Num threads: [{words["num_threads"]}]
Graph: [{words["graph"]}]
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
Initialized session in 20.215ms.
Running benchmark for at least 10 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=18 first=32477 curr=27653 min=27364 max=32477 avg=27887.6 std=1122

Running benchmark for at least {runs} iterations and at least 0 seconds but terminate if exceeding 150 seconds.
count={runs} first=27742 curr=27700 min={mean * 0.9} max={mean * 2} avg={mean} std=193

Inference timings in us: Init: 20215, First inference: 32477, Warmup (avg): 27887.6, Inference (avg): {mean}
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory
Memory footprint delta from the start of the tool (MB): init=2.20703 overall=6.82812""")
'''


def install(folder: Path) -> Path:
    """Write `adb` into `folder`/bin; returns the phone's folder."""
    phone, tools = folder / "phone", folder / "bin"
    phone.mkdir(parents=True)
    tools.mkdir()
    (folder / "tool.py").write_text(TOOL)
    (folder / "shell.sh").write_text(SHELL.format(phone=phone, python=sys.executable, tool=folder / "tool.py"))
    (tools / "adb").write_text(f"""#!/bin/sh
state=$(cat {phone}/state 2>/dev/null || echo device)
if [ "$1" = devices ]; then
    echo "List of devices attached"
    [ "$state" = gone ] || printf '{SERIAL}\\t%s\\n' "$state"
    exit 0
fi
[ "$1 $2" = "-s {SERIAL}" ] && [ "$state" = device ] || {{ echo "adb: device '$2' not found" >&2; exit 1; }}
shift 2
case $1 in
push) cp "$2" "$3" && echo "$2: 1 file pushed" ;;
shell)
    line=$(printf '%s' "$2" | sed 's#\\./benchmark_model#benchmark_model#')
    printf '%s\\n%s\\n' ". {folder}/shell.sh" "$line" > {folder}/line.$$
    sh {folder}/line.$$ > {folder}/said.$$ 2>&1
    [ "$(cat {phone}/state 2>/dev/null)" = gone ] && {{ echo "error: closed" >&2; exit 1; }}
    cat {folder}/said.$$
    rm {folder}/line.$$ {folder}/said.$$ ;;
esac
""")
    (tools / "adb").chmod(0o755)
    return phone


def elf(machine: int) -> bytes:
    """The head of a program for a kind of machine."""
    return b"\x7fELF" + bytes(14) + struct.pack("<H", machine) + bytes(44)
