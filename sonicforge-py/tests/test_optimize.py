"""The optimizer through Python: stores, errors, threads, processes."""

import asyncio
import json
import multiprocessing
import random
import threading

import pytest

import sonicforge as sf

SPACE = sf.Space.of({"genre": ["jazz", "ambient", "techno", "lo-fi"], "mood": ["calm", "dark", "happy", "sad"]})


def test_a_round(tmp_path):
    store = tmp_path / "taste.db"
    optimizer = sf.PromptOptimizer(SPACE, store=store)
    assert len(optimizer.start("rain")) == 4
    suggestion = optimizer.suggest("rain")
    assert suggestion.prompt.startswith("rain, ")
    assert suggestion.propensity == 0.25
    assert dict(suggestion.candidates) == optimizer.policy("rain")
    del optimizer
    # Another process, later: the token is enough.
    later = sf.PromptOptimizer(SPACE, store=store)
    assert later.reward(suggestion.token, 1) == "new"
    assert later.reward(suggestion.token, True) == "duplicate"
    assert later.reward(suggestion.token, 0, revision=2) == "revised"
    assert later.reward(suggestion.token, 1, revision=1) == "stale"
    assert [row.reward for row in later.log("rain")] == [0.0]
    assert later.concepts() == ["rain"]
    assert later.space == SPACE


def test_it_learns():
    optimizer = sf.PromptOptimizer(SPACE, seed=3)
    optimizer.start("rain")
    slots = {v.id: v.slots for v in optimizer.variants("rain")}
    chance = random.Random(1)
    for _ in range(300):
        s = optimizer.suggest("rain")
        optimizer.reward(s.token, chance.random() < (0.9 if slots[s.variant]["genre"] == "jazz" else 0.2))
    report = optimizer.report("rain")
    assert report.finished and slots[report.leader]["genre"] == "jazz"
    assert report.variants[0].utility.low < report.variants[0].utility.mean < report.variants[0].utility.high
    assert sf.PromptReport.from_json(report.to_json()) == report
    assert report.svg().startswith("<svg") and "P(best)" in report.summary()
    evolved = optimizer.evolve("rain", below=0.01, at_least=5)
    assert len(evolved.retired) == len(evolved.added)
    assert all(v.status == "retired" for v in evolved.retired)
    uniform = {v.id: 0.25 for v in report_variants(report)}
    evaluation = optimizer.evaluate("rain", uniform)
    assert evaluation.decisions == 300 and evaluation.dr is not None


def test_at_once_is_the_same():
    def make():
        made = sf.PromptOptimizer(SPACE, seed=9, refresh_ms=4_000_000_000)
        made.start("rain")
        return made

    def all_of(s):
        return s.token, s.decision, s.concept, s.variant, s.prompt, s.propensity, s.candidates

    kept = make()
    kept.suggest("rain")
    for n in range(30):
        # Of an optimizer that has made no policy yet, the first suggestion cannot come at once.
        slow = make().suggest("rain", decision=f"{n:024x}", epoch=1)
        assert all_of(kept.suggest("rain", decision=f"{n:024x}", epoch=1)) == all_of(slow)
    kept.reward(kept.suggest("rain").token, 1)
    assert dict(kept.suggest("rain").candidates) == dict(kept.suggest("rain").candidates) == kept.policy("rain")
    assert kept.policy("rain") != make().policy("rain")
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="24 digits"):
        kept.suggest("rain", decision="zz")


def report_variants(report):
    return [row.variant for row in report.variants]


def test_metrics_duels_contexts_and_free_text():
    optimizer = sf.PromptOptimizer(
        metrics=[
            sf.Metric("stars", "rating"),
            sf.Metric("cost", "real", weight=-0.01),
            sf.Metric("clips", weight=0.0, at_most=0.1),
        ],
        policy={"mode": "optimistic", "floor": 0.1},
        drift={"discount": 0.99},
        secret="0123456789abcdef",
    )
    a = optimizer.add("rain", "slow piano", control=True)
    b = optimizer.add("rain", "fast drums")
    token = optimizer.suggest("rain", context=[0.5, -0.25]).token
    assert (
        optimizer.reward_all([sf.Feedback(token, 0.75), sf.Feedback(token, 3, "cost"), sf.Feedback(token, 0, "clips")])
        == ["new"] * 3
    )
    duel = optimizer.suggest_duel("rain")
    assert {duel.first.id, duel.second.id} == {a.id, b.id}
    assert optimizer.reward(duel.token, 0.5) == "new"
    assert len({s.variant for s in optimizer.suggest_top("rain", 2)}) == 2
    assert len(optimizer.suggest_batch("rain", 500)) == 500
    optimizer.set_control("rain", b.id)
    optimizer.set_status("rain", a.id, "paused")
    assert optimizer.policy("rain") == {b.id: 1.0}
    assert optimizer.options["policy"]["floor"] == 0.1
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="no space"):
        optimizer.propose("rain")
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="either"):
        optimizer.add("rain")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 0.5, 2])
def test_rewards_out_of_range(value):
    optimizer = sf.PromptOptimizer(SPACE)
    optimizer.start("rain")
    token = optimizer.suggest("rain").token
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="the reward of approval is"):
        optimizer.reward(token, value)
    assert optimizer.log("rain") == []


def test_errors(tmp_path):
    with pytest.raises(sf.exceptions.StoreError, match="folder"):
        sf.PromptOptimizer(SPACE, store=tmp_path / "no" / "where.db")
    (tmp_path / "text.db").write_text("this is no database at all, but long enough to be looked at" * 20)
    with pytest.raises(sf.exceptions.StoreError):
        sf.PromptOptimizer(SPACE, store=tmp_path / "text.db")
    for wrong in [
        {"policy": {"floor": 2}},
        {"policy": {"flor": 0}},
        {"prior": (float("nan"), 1)},
        {"seed": -1},
        {"drift": "fast"},
    ]:
        with pytest.raises(sf.exceptions.InvalidArgumentError):
            sf.PromptOptimizer(SPACE, **wrong)
    optimizer = sf.PromptOptimizer(SPACE)
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="token"):
        optimizer.reward("forged", 1)
    with pytest.raises(sf.exceptions.FormatError):
        optimizer.import_state('{"schema": 1}')
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="differ in length"):
        sf.evaluate_policy(propensity=[0.5], reward=[1.0, 0.0], target=[1.0])


def test_states_merge_in_any_order():
    first = sf.PromptOptimizer(SPACE)
    first.start("rain")
    tokens = [first.suggest("rain").token for _ in range(40)]
    second = sf.PromptOptimizer(SPACE)
    second.import_state(first.export_state())
    for n, token in enumerate(tokens):
        (first if n % 2 else second).reward(token, n % 3 == 0)
    a, b = first.export_state(), second.export_state()
    assert first.import_state(b).new == 20 and second.import_state(a).new == 20
    assert first.export_state() == second.export_state()
    assert first.import_state(b).new == 0
    assert len(json.loads(a)["rewards"]) == 20


def test_threads_and_asyncio():
    optimizer = sf.PromptOptimizer(SPACE)
    optimizer.start("rain")

    def work():
        for _ in range(50):
            optimizer.reward(optimizer.suggest("rain").token, 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def more():
        suggestions = await asyncio.gather(*(asyncio.to_thread(optimizer.suggest, "rain") for _ in range(20)))
        await asyncio.gather(*(asyncio.to_thread(optimizer.reward, s.token, 0) for s in suggestions))

    asyncio.run(more())
    assert len(optimizer.log("rain")) == 220


def _reward_from_another_process(store, tokens):
    optimizer = sf.PromptOptimizer(SPACE, store=store, durability="process")
    for token in tokens:
        optimizer.reward(token, 1)


def test_processes_share_a_file(tmp_path):
    store = str(tmp_path / "shared.db")
    optimizer = sf.PromptOptimizer(SPACE, store=store, durability="process")
    optimizer.start("rain")
    tokens = [s.token for s in optimizer.suggest_batch("rain", 100)]
    spawn = multiprocessing.get_context("spawn")
    # Both deliver everything.
    workers = [spawn.Process(target=_reward_from_another_process, args=(store, tokens)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    optimizer.refresh()
    assert sum(v.metrics[0].rewards for v in optimizer.report("rain").variants) == 100
