"""The problems of optimize-figures through the peers, and the references of scipy and obp.

    python3 -m venv v && v/bin/pip install -r benches/peers/requirements-optimize.txt
    v/bin/pip install --no-deps obp==0.4.1      # for its data set; its own requirements include torch
    cargo build --release -p sonicforge-benches --features optimize --bin optimize-figures
    v/bin/python benches/peers/optimize.py regret|speed|contextual|propensity|ope [--figures target/…/optimize-figures]

Regret: K = 10 (.5 against .4), T = 10^4, the same coins as ours. Speeds are per second of CPU time.
"""

import argparse
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")
MASK = (1 << 64) - 1


def coin(run, arm, pull):
    """The coin of benches/optimize_figures.rs."""
    z = (run * 0x9E3779B97F4A7C15 + arm * 0xBF58476D1CE4E5B9 + pull * 0x94D049BB133111EB) & MASK
    for _ in range(2):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
    return (z >> 11) / (1 << 53)


def play(choose, learn, rates, rounds, run):
    pulls, regret, top = [0] * len(rates), 0.0, max(rates)
    for _ in range(rounds):
        arm = choose()
        win = coin(run, arm, pulls[arm]) < rates[arm]
        pulls[arm] += 1
        regret += top - rates[arm]
        learn(arm, int(win))
    return regret


def mabwiser(k, seed):
    from mabwiser.mab import MAB, LearningPolicy

    mab = MAB(list(range(k)), LearningPolicy.ThompsonSampling(), seed=seed)
    mab.fit(decisions=list(range(k)), rewards=[0] * k)
    # Its prior is Beta(1, 1) after an empty fit; what fitting counted is taken back.
    for arm in range(k):
        mab._imp.arm_to_success_count[arm] = 1
        mab._imp.arm_to_fail_count[arm] = 1

    def learn(arm, win):
        mab._imp.arm_to_success_count[arm] += win
        mab._imp.arm_to_fail_count[arm] += 1 - win

    return mab.predict, learn


def river(k, seed):
    from river import bandit, proba

    policy = bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=seed)
    arms = list(range(k))
    return lambda: policy.pull(arms), policy.update


def numpy_one_liner(k, seed):
    rng, a, b = np.random.default_rng(seed), np.ones(k), np.ones(k)

    def learn(arm, win):
        a[arm] += win
        b[arm] += 1 - win

    return lambda: int(rng.beta(a, b).argmax()), learn


def vowpal(k, seed):
    import vowpalwabbit

    vw = vowpalwabbit.Workspace(f"--cb_explore {k} --bag 5 --quiet --random_seed {seed}")
    rng = np.random.default_rng(seed)
    chosen = [0, 1.0]

    def choose():
        p = np.array(vw.predict("| a"))
        arm = int(rng.choice(k, p=p / p.sum()))
        chosen[:] = arm, p[arm]
        return arm

    def learn(arm, win):
        vw.learn(f"{arm + 1}:{1 - win}:{chosen[1]} | a")

    return choose, learn


def vowpal_squarecb(k, seed):
    """SquareCB, which VW has for actions with features only: here each action is its number."""
    import vowpalwabbit

    vw = vowpalwabbit.Workspace(f"--cb_explore_adf --squarecb --quiet --random_seed {seed}")
    rng = np.random.default_rng(seed)
    actions = [f"| a{i}" for i in range(k)]
    asked = "\n".join(actions)
    chosen = [0, 1.0]

    def choose():
        p = np.array(vw.predict(asked))
        arm = int(rng.choice(k, p=p / p.sum()))
        chosen[:] = arm, p[arm]
        return arm

    def learn(arm, win):
        labelled = actions.copy()
        labelled[arm] = f"0:{1 - win}:{chosen[1]} {actions[arm]}"
        vw.learn("\n".join(labelled))

    return choose, learn


PEERS = {
    "mabwiser": mabwiser,
    "river": river,
    "numpy": numpy_one_liner,
    "vowpalwabbit bag 5": vowpal,
    "vowpalwabbit squarecb": vowpal_squarecb,
}


def regret(args):
    rates = [0.5] + [0.4] * 9
    for name, make in PEERS.items():
        if args.only not in name:
            continue
        found = np.array([play(*make(10, run), rates, 10_000, run) for run in range(args.runs)])
        error, p95 = found.std(ddof=1) / args.runs**0.5, np.quantile(found, 0.95)
        print(f"{name:<22} {found.mean():7.1f} ± {error:.1f}, one in twenty above {p95:.0f}  ({args.runs} runs)", flush=True)


def timed(work):
    """Calls per second of CPU time, best of three."""
    best = 0.0
    for _ in range(3):
        begun, calls = time.process_time(), 0
        while time.process_time() - begun < 0.5:
            work()
            calls += 1
        best = max(best, calls / (time.process_time() - begun))
    return best


def speed(args):
    for name, make in PEERS.items():
        if args.only not in name:
            continue
        for k in (4, 100):
            choose, learn = make(k, 1)
            for n in range(200):
                choose()
                learn(n % k, n % 2)
            print(f"{name:<22} K = {k:<4} {timed(choose):12.0f} decisions/s {timed(lambda: learn(1, 1)):12.0f} updates/s", flush=True)


def data_sets(mlbench):
    """Digits, satellite and shuttle as label,feature,… with features of unit spread, shuffled by seed 0."""
    from sklearn.datasets import load_digits

    sets = {}
    x, y = load_digits(return_X_y=True)
    index = np.random.default_rng(0).integers(0, len(y), 5_000)
    sets["digits"] = (x[index] / 16.0, y[index])
    import pyreadr

    for name, label in (("Satellite", "classes"), ("Shuttle", "Class")):
        path = mlbench / f"{name}.rda"
        if not path.exists():
            print(f"no {path}: apt-get download r-cran-mlbench; dpkg -x r-cran-mlbench*.deb mlbench; --mlbench mlbench/usr/lib/R/site-library/mlbench/data")
            continue
        table = pyreadr.read_r(path)[name]
        x, y = table.drop(columns=[label]).to_numpy(float), table[label].astype(str).to_numpy()
        x = np.clip((x - x.mean(0)) / (x.std(0) + 1e-9), -5, 5)
        index = np.random.default_rng(0).permutation(len(y))[:6_000]
        sets[name.lower()] = (x[index], y[index])
    return sets


def lin_ts(x, y, v, seed=0):
    """Disjoint linear Thompson sampling in numpy."""
    rng = np.random.default_rng(seed)
    x = np.hstack([x, np.ones((len(x), 1))])
    arms, d = int(y.max()) + 1, x.shape[1]
    inverse = np.stack([np.eye(d)] * arms)
    b = np.zeros((arms, d))
    earned = 0
    for features, label in zip(x, y, strict=True):
        ax = inverse @ features
        mean = np.einsum("kd,kd->k", ax, b)
        sd = v * np.sqrt(np.maximum(ax @ features, 0))
        arm = int((mean + sd * rng.standard_normal(arms)).argmax())
        win = float(arm == int(label))
        earned += win
        inverse[arm] -= np.outer(ax[arm], ax[arm]) / (1 + features @ ax[arm])
        b[arm] += win * features
    return earned / len(y)


def contextual(args):
    folder = Path(args.data)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, (x, y) in data_sets(Path(args.mlbench)).items():
        path = folder / f"{name}.csv"
        labels = np.unique(y, return_inverse=True)[1]
        path.write_text("".join(f"{label}," + ",".join(f"{v:.6g}" for v in row) + "\n" for label, row in zip(labels, x, strict=True)))
        files.append(str(path))
        begun = time.process_time()
        found = np.array([lin_ts(x, labels, 0.1, seed) for seed in range(20)])
        rate = len(found) * len(y) / (time.process_time() - begun)
        error = found.std(ddof=1) / len(found) ** 0.5
        print(f"numpy LinTS {name:<10} {found.mean():.4f} ± {error:.4f} ({len(found)} runs), {rate:.0f} rounds per CPU second", flush=True)
    subprocess.run([args.figures, "contextual", *files], check=True)


def propensity(args):
    """P(best) against scipy's incomplete beta integrated by Gauss-Legendre panels between their quantiles."""
    from scipy import special

    rng = np.random.default_rng(5)
    nodes, weights = np.polynomial.legendre.leggauss(16)
    lines, expected = [], []
    for _ in range(args.runs):
        k = int(rng.choice([2, 3, 4, 5, 8, 10, 20, 50, 100]))
        n = np.floor(10 ** rng.uniform(0, 3.5, k))
        s = rng.binomial(n.astype(int), rng.beta(2, 2, k))
        a, b = 1.0 + s, 1.0 + n - s
        lines.append(" ".join(f"{u:.17g} {v:.17g}" for u, v in zip(a, b, strict=True)))
        # Edges where some distribution function turns, so that every panel is smooth.
        q = special.betaincinv(a[:, None], b[:, None], np.array([1e-13, 1e-9, 1e-6, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1 - 1e-4, 1 - 1e-6, 1 - 1e-9]))
        edges = np.unique(np.concatenate([[0.0, 1.0], q.ravel()]))
        left, width = edges[:-1], np.diff(edges)
        x = (left[:, None] + width[:, None] * (nodes + 1) / 2).ravel()
        w = (width[:, None] * weights / 2).ravel()
        x = np.clip(x, 1e-300, 1 - 1e-16)
        cdf = special.betainc(a[:, None], b[:, None], x)
        pdf = np.exp((a[:, None] - 1) * np.log(x) + (b[:, None] - 1) * np.log1p(-x) - special.betaln(a, b)[:, None])
        one = np.ones((1, len(x)))
        before = np.cumprod(np.concatenate([one, cdf[:-1]]), 0)
        after = np.cumprod(np.concatenate([one, cdf[:0:-1]]), 0)[::-1]
        p = (w * pdf * before * after).sum(1)
        expected.append(p)
    out = subprocess.run([args.figures, "propensity"], input="\n".join(lines), capture_output=True, text=True, check=True).stdout
    ours = [np.array(line.split(), float) for line in out.splitlines()]
    worst = max(np.abs(o - e).max() for o, e in zip(ours, expected, strict=True))
    off = max(abs(e.sum() - 1) for e in expected)
    print(f"{args.runs} posteriors, K = 2 to 100: largest difference {worst:.2e} (the reference sums to 1 within {off:.1e})")


def ope(args):
    """IPS, SNIPS and DR of obp's estimators on the Open Bandit Dataset that its wheel carries."""
    import importlib.machinery
    import importlib.util
    import types

    import pandas as pd

    spec = importlib.machinery.PathFinder.find_spec("obp")
    root = Path(spec.submodule_search_locations[0])
    # The estimators without the package around them, which imports torch.
    for name in ("obp", "obp.ope", "obp.utils"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["obp"].__path__ = [str(root)]
    sys.modules["obp.ope"].__path__ = [str(root / "ope")]

    def load(name, path):
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    if importlib.util.find_spec("torch") is None:
        sys.modules["torch"] = types.ModuleType("torch")
        sys.modules["torch"].Tensor = type("Tensor", (), {})
    load("obp.utils", root / "utils.py")
    load("obp.ope.helper", root / "ope" / "helper.py") if (root / "ope" / "helper.py").exists() else None
    estimators = load("obp.ope.estimators", root / "ope" / "estimators.py")
    worst = 0.0
    for behaviour in ("random", "bts"):
        for campaign in ("all", "men", "women"):
            table = pd.read_csv(next((root / "dataset" / "obd" / behaviour / campaign).glob(f"{campaign}.csv")), index_col=0)
            arms = int(table["item_id"].max()) + 1
            reward, action = table["click"].to_numpy(float), table["item_id"].to_numpy(int)
            pscore = table["propensity_score"].to_numpy(float)
            rng = np.random.default_rng(1)
            target = rng.dirichlet(np.ones(arms))
            n = len(reward)
            dist = np.repeat(target[None, :, None], n, 0)
            q = np.full((n, arms, 1), reward.mean()) + 0.001 * rng.standard_normal((1, arms, 1))
            position = np.zeros(n, int)
            common = {"reward": reward, "action": action, "pscore": pscore, "action_dist": dist, "position": position}
            theirs = [
                estimators.InverseProbabilityWeighting().estimate_policy_value(**common),
                estimators.SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**common),
                estimators.DoublyRobust().estimate_policy_value(**common, estimated_rewards_by_reg_model=q),
            ]
            policy_value = (q[:, :, 0] * target).sum(1)
            drawn = q[np.arange(n), action, 0]
            lines = [f"{p:.17g} {r} {target[a]:.17g} {d:.17g} {v:.17g}" for p, r, a, d, v in zip(pscore, reward, action, drawn, policy_value, strict=True)]
            out = subprocess.run([args.figures, "ope"], input="\n".join(lines), capture_output=True, text=True, check=True).stdout.split()
            differences = [abs(float(o) - t) for o, t in zip(out[:3], theirs, strict=True)]
            worst = max(worst, *differences)
            print(f"{behaviour}/{campaign}: IPS {theirs[0]:.5f} SNIPS {theirs[1]:.5f} DR {theirs[2]:.5f}, effective {float(out[3]):.0f} of {n}, differences {max(differences):.1e}")
    print(f"largest difference from obp: {worst:.1e}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["regret", "speed", "contextual", "propensity", "ope"])
    parser.add_argument("--figures", default="target/x86_64-unknown-linux-gnu/release/optimize-figures")
    parser.add_argument("--only", default="", help="peers whose names hold this")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--mlbench", default="mlbench/usr/lib/R/site-library/mlbench/data")
    parser.add_argument("--data", default="bench-out/optimize")
    args = parser.parse_args()
    {"regret": regret, "speed": speed, "contextual": contextual, "propensity": propensity, "ope": ope}[args.what](args)


if __name__ == "__main__":
    main()
