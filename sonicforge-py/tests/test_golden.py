"""The golden vectors that all three languages run: `tests/golden/<verb>/<case>.json` of the core.

What a case is, and what each operation compares, stands in `tests/golden.rs` of the core.
"""

import json
from pathlib import Path

import pytest

import sonicforge as sf

GOLDEN = Path(__file__).parents[2] / "sonicforge-core" / "tests" / "golden"
CHECKPOINTS = GOLDEN.parent / "fixtures" / "generate"
CASES = sorted(path for path in GOLDEN.glob("*/*.json") if path.parent.name != "tools")


def source(case):
    given = case["input"]
    return sf.testing.signal(
        **given["signal"],
        sample_rate=int(given["sample_rate"]),
        channels=int(given["channels"]),
        seconds=given["seconds"],
    )


def analyze(case):
    return sf.analyze(source(case)).to_dict()


def render(case):
    audio = source(case)
    chain = sf.MasteringChain(sf.Preset.from_json(json.dumps(case["parameters"]["preset"])))
    rendered = chain.render(audio)
    latency = chain.prepare(sample_rate=audio.sample_rate, channels=audio.channels).latency
    return {"latency": latency, "frames": rendered.frames, "probes": probes(rendered)}


def probes(audio):
    return audio.samples[:, [k * audio.frames // 17 for k in range(1, 17)]].tolist()


def plan(case):
    return sf.plan(source(case), target=case["parameters"]["target"]).to_dict()


def master(case):
    parameters = case["parameters"]
    if "plan" in parameters:
        return sf.Plan.from_json(json.dumps(parameters["plan"])).render(source(case)).report.to_dict()
    return sf.master(source(case), target=parameters["target"]).report.to_dict()


def match(case):
    parameters = case["parameters"]
    reference = source({"input": parameters["reference"]})
    return sf.plan(source(case), reference=reference, match=sf.MatchParts(**parameters["parts"])).to_dict()


def preset(case):
    parameters = case["parameters"]
    read = sf.Preset.from_json if "json" in parameters else sf.Preset.from_toml
    try:
        return read(*parameters.values()).to_dict()
    except sf.SonicForgeError as error:
        return {"error": error.code}


def model(case):
    name = case["parameters"]["checkpoint"]
    return sf.MusicGen.load(None if name == "default" else CHECKPOINTS / name, quantization="f32", threads=1)


def tokenize(case):
    return {"ids": [model(case).tokenize(prompt) for prompt in case["parameters"]["prompts"]]}


def generate_codes(case):
    request = sf.GenerationRequest.of(case["parameters"]["request"])
    return {"codes": model(case).generate_codes(request).tolist()}


def decode_codes(case):
    audio = model(case).decode_codes(case["parameters"]["codes"])
    return {
        "sample_rate": audio.sample_rate,
        "channels": audio.channels,
        "frames": audio.frames,
        "probes": probes(audio),
    }


def encode_audio(case):
    audio = sf.AudioBuffer(case["parameters"]["samples"], case["parameters"]["sample_rate"])
    return {"codes": model(case).encode_audio(audio).tolist()}


def generation_error(case):
    generator, errors = model(case), []
    for batch in case["parameters"]["batches"]:
        try:
            generator.generate_batch(batch)
            errors.append(None)
        except sf.SonicForgeError as error:
            errors.append(error.code)
    return {"errors": errors}


def optimizer_of(parameters, options):
    options = dict(options)
    if "metrics" in options:
        options["metrics"] = [sf.Metric(**m) for m in options["metrics"]]
    return sf.PromptOptimizer(sf.Space.from_dict(parameters["space"]), **options)


def optimize(case):
    parameters = case["parameters"]
    optimizer = optimizer_of(parameters, parameters["options"])
    concepts = parameters["concepts"]
    for concept in concepts:
        optimizer.start(concept, parameters["variants"])
    suggestions = []
    for n in range(parameters["rounds"]):
        context = [n % 5 / 4 - 0.5, n % 3 / 2 - 0.5] if parameters["context"] else None
        concept = concepts[n % len(concepts)]
        s = optimizer.suggest(concept, decision=f"{n:024x}", epoch=n // 8, context=context)
        optimizer.reward(s.token, 1.0 if (7 * n + len(s.prompt)) % 3 == 0 else 0.0)
        suggestions.append(s)
    report = optimizer.report(concepts[0])
    return {
        "prompts": [s.prompt for s in suggestions],
        "propensities": [s.propensity for s in suggestions],
        "tokens": [s.token for s in suggestions],
        "policy": optimizer.policy(concepts[0]),
        "p_best": [v.p_best for v in report.variants],
        "means": [v.utility.mean for v in report.variants],
        "state": optimizer.export_state(),
    }


def code_of(call):
    try:
        call()
    except sf.SonicForgeError as error:
        return error.code
    return None


def optimize_errors(case):
    parameters = case["parameters"]
    optimizer, concept = optimizer_of(parameters, {}), parameters["concept"]
    unknown = code_of(lambda: optimizer.suggest(concept))
    optimizer.start(concept)
    token = optimizer.suggest(concept).token
    return {
        "spaces": [code_of(lambda s=s: sf.Space.from_dict(s)) for s in parameters["spaces"]],
        "tokens": [code_of(lambda t=t: optimizer.reward(t, 1.0)) for t in parameters["tokens"]],
        "values": [code_of(lambda v=v: optimizer.reward(token, v)) for v in parameters["values"]],
        "unknown_concept": unknown,
        "state": code_of(lambda: optimizer.import_state("{}")),
    }


def evaluate_policy(case):
    log = case["parameters"]["log"]
    columns = {name: [row[name] for row in log] for name in ("propensity", "reward", "target", "model")}
    return sf.evaluate_policy(**columns).to_dict()


def chromaprint(case):
    print_ = sf.fingerprint(source(case), **case["parameters"]).chromaprint
    return {"chromaprint": print_.encode(), "simhash": print_.simhash()}


def chromaprint_texts(case):
    def read(text):
        try:
            print_ = sf.Chromaprint.decode(text)
        except sf.SonicForgeError as error:
            return {"error": error.code}
        return {"preset": print_.preset, "words": print_.words.tolist()}

    return {"read": [read(text) for text in case["parameters"]["texts"]]}


def index_query(case):
    index = sf.Index()
    for track in case["parameters"]["tracks"]:
        index.insert(track["id"], sf.fingerprint(source(track)))
    return {"found": [match.to_dict() for match in index.query(source(case))]}


def acoustid(case):
    print_, given = sf.fingerprint(source(case)), case["parameters"]
    tracks, errors = [(print_, given["known"])], []
    for call in (
        lambda: sf.acoustid_lookup(print_, client="", meta=given["meta"]),
        lambda: sf.acoustid_submit(tracks, client=given["client"], user=""),
    ):
        with pytest.raises(sf.SonicForgeError) as raised:
            call()
        errors.append(raised.value.code)
    lookup = sf.acoustid_lookup(print_, client=given["client"], meta=given["meta"])
    submit = sf.acoustid_submit(tracks, client=given["client"], user=given["user"])
    return {"lookup": [list(p) for p in lookup.items()], "submit": [list(p) for p in submit.items()], "errors": errors}


OPERATIONS = {
    "optimize": optimize,
    "optimize_errors": optimize_errors,
    "evaluate_policy": evaluate_policy,
    "analyze": analyze,
    "render": render,
    "plan": plan,
    "master": master,
    "match": match,
    "preset": preset,
    "tokenize": tokenize,
    "generate_codes": generate_codes,
    "decode_codes": decode_codes,
    "encode_audio": encode_audio,
    "chromaprint": chromaprint,
    "chromaprint_texts": chromaprint_texts,
    "index_query": index_query,
    "acoustid": acoustid,
    "generation_error": generation_error,
}


def differences(actual, expected, tolerance, at):
    number = (int, float)
    if isinstance(expected, bool) or expected is None or isinstance(expected, str):
        same = actual == expected and type(actual) is type(expected)
        return [] if same else [f"{at} is {actual!r}, expected {expected!r}"]
    if isinstance(expected, number) and isinstance(actual, number) and not isinstance(actual, bool):
        near = abs(actual - expected) <= tolerance + 1e-12 * abs(expected)
        return [] if near else [f"{at} is {actual}, expected {expected} ± {tolerance}"]
    if isinstance(expected, dict) and isinstance(actual, dict):
        pairs = [(actual.get(key), value, f"{at}.{key}") for key, value in expected.items()]
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = [(a, e, f"{at}[{i}]") for i, (a, e) in enumerate(zip(actual, expected, strict=True))]
    else:
        return [f"{at} is {actual!r}, expected {expected!r}"]
    return [line for a, e, place in pairs for line in differences(a, e, tolerance, place)]


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_case(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    operation = OPERATIONS.get(case["operation"])
    assert operation is not None, f"unknown golden operation {case['operation']!r}"
    actual = operation(case)
    found = []
    for name, expected in case["expected"].items():
        found += differences(actual.get(name), expected, case.get("tolerance", {}).get(name, 0.0), name)
    assert not found, "\n".join(found)


def test_no_case_is_missing():
    assert len(CASES) >= int((GOLDEN / "COUNT").read_text())


def test_the_comparison_sees_what_is_wrong():
    expected = {"a": 1.0, "b": [1, None], "c": [{"x": 2}]}
    assert differences({"a": 1.05, "b": [1.0, None], "c": [{"x": 2, "y": 3}]}, expected, 0.1, "r") == []
    for bad in ({"a": 1.2}, {"b": [1, 0]}, {"b": [1]}, {"c": [{"x": 3}]}, {"a": None}, {"a": True}, {"c": [{}]}):
        good = {"a": 1.0, "b": [1, None], "c": [{"x": 2}]}
        assert len(differences({**good, **bad}, expected, 0.1, "r")) == 1, bad
