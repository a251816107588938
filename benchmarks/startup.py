"""How long `letstalk --help` takes: the smallest of several whole processes, warm. The aim is under 0.4 s."""

import subprocess
import sys
import time

NUM_RUNS = 7


def seconds_for(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "letstalk", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    for arguments in (["--help"], ["--version"], ["synth", "--help"]):
        times = sorted(seconds_for(arguments) for _ in range(NUM_RUNS))
        name = " ".join(arguments)
        print(f"letstalk {name:<14} {times[0]:.2f} s best, {times[NUM_RUNS // 2]:.2f} s median of {NUM_RUNS}")


if __name__ == "__main__":
    main()
