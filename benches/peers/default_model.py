"""What the default model costs: load, seconds of music a CPU second with guidance on one thread, the first chunk, memory.

    python benches/peers/default_model.py        # in an environment with the package, as `make build-python` makes one

Medians of seven; the processor's time for the work, the clock for the first chunk.
"""

import resource
import statistics
import subprocess
import sys
import time

PROMPT = "slow ambient in D minor with warm pad and piano, 70 bpm"


def work() -> None:
    import sonicforge as sf

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    model = sf.MusicGen.load(threads=1)
    print("load", time.perf_counter() - began)
    for seed in range(7):
        began = time.process_time()
        audio = model.generate(PROMPT, seconds=10, seed=seed)
        print("rate", audio.seconds / (time.process_time() - began))
        began = time.perf_counter()
        with model.stream(PROMPT, seconds=10, seed=seed) as stream:
            next(stream)
            print("first", time.perf_counter() - began)
    print("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print("own", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main() -> None:
    values: dict[str, list[float]] = {}
    out = subprocess.run([sys.executable, __file__, "work"], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        name, value = line.split()
        values.setdefault(name, []).append(float(value))
    middle = {name: statistics.median(found) for name, found in values.items()}
    print(f"load: {1000 * middle['load']:.0f} ms")
    print(f"one thread, with guidance: {middle['rate']:.1f} s of music per CPU second")
    print(f"first chunk of a stream: {1000 * middle['first']:.0f} ms")
    print(f"memory of the process at most: {middle['memory']:.0f} MiB, {middle['own']:.0f} more than after import")


if __name__ == "__main__":
    work() if "work" in sys.argv[1:] else main()
