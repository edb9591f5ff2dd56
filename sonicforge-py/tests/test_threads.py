"""The GIL is free while the core works: threads run side by side, an event loop keeps turning, a fork works."""

import asyncio
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import sonicforge as sf
from sonicforge.exceptions import InvalidArgumentError


def work(audio):
    return sf.MasteringChain("loud").render(audio).samples


def test_python_runs_while_the_core_works():
    audio = sf.AudioBuffer(np.tile(sf.testing.signal("music", seed=1, seconds=10.0).samples, 30), 48_000)
    stop, count = threading.Event(), 0
    result = []

    def render():
        result.append(work(audio))
        stop.set()

    thread = threading.Thread(target=render)
    thread.start()
    while not stop.is_set():
        count += 1
    thread.join()
    assert result[0].shape == audio.samples.shape
    assert count > 10_000


def test_two_threads_overlap_and_agree():
    audio = sf.AudioBuffer(np.tile(sf.testing.signal("music", seed=1, seconds=10.0).samples, 12), 48_000)
    expected = work(audio)
    spans = []

    def timed():
        start = time.perf_counter()
        result = work(audio)
        spans.append((start, time.perf_counter()))
        return result

    with ThreadPoolExecutor(2) as pool:
        results = [future.result() for future in [pool.submit(timed) for _ in range(2)]]
    for result in results:
        np.testing.assert_array_equal(result, expected)
    (a, b), (c, d) = spans
    overlap = min(b, d) - max(a, c)
    assert overlap > 0.5 * min(b - a, d - c)


def test_two_threads_use_two_cores():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    audio = sf.AudioBuffer(np.tile(sf.testing.signal("music", seed=1, seconds=10.0).samples, 6), 48_000)
    ratios = []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, [audio, audio]))
        ratios.append((time.process_time() - cpu) / (time.perf_counter() - wall))
        if ratios[-1] > 1.3:
            return
    # The machine may be busy with something else: then only say so when Python itself was the brake.
    if os.getloadavg()[0] < 2.5:
        raise AssertionError(f"CPU seconds per second of two threads: {ratios}")
    pytest.skip(f"the machine is busy: CPU seconds per second of two threads: {ratios}")


def test_an_event_loop_keeps_turning():
    audio = sf.AudioBuffer(np.tile(sf.testing.signal("music", seed=1, seconds=10.0).samples, 6), 48_000)

    async def main():
        ticks = 0
        tasks = [asyncio.create_task(asyncio.to_thread(sf.analyze, audio)) for _ in range(4)]
        while not all(task.done() for task in tasks):
            ticks += 1
            await asyncio.sleep(0.001)
        return ticks, {task.result() == sf.analyze(audio) for task in tasks}

    ticks, same = asyncio.run(main())
    assert ticks > 3
    assert same == {True}


def test_an_array_in_use_is_not_shared_in_silence():
    x = np.zeros((2, 48_000 * 60), np.float32)
    chain = sf.MasteringChain("loud").prepare(sample_rate=48_000, channels=2)
    started = threading.Event()

    def run():
        started.set()
        chain.process(x, out=x)

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    time.sleep(0.05)
    try:
        if thread.is_alive():
            with pytest.raises(InvalidArgumentError, match="in use"):
                sf.analyze(sf.AudioBuffer(x, 48_000))
    finally:
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_after_import_and_use_works():
    child = """
        import os, sys, warnings
        import sonicforge as sf
        warnings.simplefilter("ignore")
        audio = sf.testing.signal("music", seed=1, seconds=2.0)
        before = sf.MasteringChain("loud").render(audio)
        pid = os.fork()
        if pid == 0:
            same = sf.MasteringChain("loud").render(audio) == before and sf.analyze(audio) == sf.analyze(audio)
            os._exit(0 if same else 3)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(child)], timeout=60, check=False)
    assert done.returncode == 0


def loudness(audio):
    return sf.analyze(audio).integrated_lufs


def test_audio_and_results_travel_to_other_processes(music):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(loudness, [music]) == [loudness(music)]
