"""Prompts that learn: a Thompson-sampling optimizer whose every reward counts once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

from . import _sonicforge
from ._documents import Document, Record
from ._io import StrPath
from ._sonicforge import Suggestion
from .exceptions import InvalidArgumentError

__all__ = [
    "Duel",
    "Estimate",
    "Evaluation",
    "Evolved",
    "Feedback",
    "Imported",
    "Interval",
    "LoggedReward",
    "Metric",
    "MetricReport",
    "Moment",
    "PromptOptimizer",
    "PromptReport",
    "Slot",
    "Space",
    "Suggestion",
    "Variant",
    "VariantReport",
    "evaluate_policy",
]

Applied = Literal["new", "duplicate", "revised", "stale"]
Status = Literal["active", "paused", "retired"]


@dataclass(frozen=True, slots=True)
class Slot(Record):
    """One part of a prompt and the values that it can take."""

    name: str
    """Its name, as in the template's `{name}`."""
    values: tuple[str, ...]
    """Its values, at least one, all different."""


@dataclass(frozen=True, slots=True)
class Space(Record):
    """Slots and the template that makes a prompt of one value per slot."""

    slots: tuple[Slot, ...]
    """The slots, at least one."""
    template: str
    """Text with `{slot}` for each slot and, where it is wanted, `{concept}`; `{{` and `}}` are braces."""

    def __post_init__(self) -> None:
        _sonicforge.space_normalize(json.dumps(self.to_dict()))

    @classmethod
    def of(cls, slots: Mapping[str, Sequence[str]], template: str | None = None) -> Space:
        """From values by slot; without a template the concept and the values, with commas between."""
        made = tuple(Slot(name, tuple(values)) for name, values in slots.items())
        words = ", ".join(["{concept}", *(f"{{{slot.name}}}" for slot in made)])
        return cls(made, words if template is None else template)


@dataclass(frozen=True, slots=True)
class Metric(Record):
    """One kind of reward and its share in the utility."""

    name: str
    """Its name."""
    kind: Literal["binary", "rating", "real"] = "binary"
    """0 or 1; a number from 0 to 1; any number of magnitude up to 2**20."""
    weight: float = 1.0
    """Weight in the utility; negative for a penalty, 0 for what is only constrained or watched."""
    at_least: float | None = None
    """The mean must be at least this; a variant that misses it is not offered."""
    at_most: float | None = None
    """The mean must be at most this."""
    confidence: float = 0.95
    """How probable the miss must be before a variant is left out, 0.5 to 1 (exclusive)."""


@dataclass(frozen=True, slots=True)
class Variant(Record):
    """One prompt of a concept."""

    id: str
    """Sixteen hexadecimal digits that follow from the slots or the text."""
    concept: str
    """The concept that it is a prompt for."""
    slots: dict[str, str]
    """Value by slot; empty for free text."""
    text: str
    """The prompt."""
    status: str
    """"active", "paused" or "retired"."""
    control: bool
    """Whether it is the one that the others are compared with."""
    revision: int
    """Counts the changes of status and control."""


@dataclass(frozen=True, slots=True)
class Interval(Record):
    """A mean with its 95 % credible interval."""

    mean: float
    """The mean."""
    low: float
    """2.5 % lie below."""
    high: float
    """2.5 % lie above."""


@dataclass(frozen=True, slots=True)
class MetricReport(Record):
    """One metric of a variant."""

    name: str
    """Its name."""
    rewards: float
    """Rewards that were counted."""
    value: Interval
    """What is believed of its mean."""


@dataclass(frozen=True, slots=True)
class VariantReport(Record):
    """One variant of a report."""

    variant: Variant
    """The variant."""
    share: float
    """Share of the traffic that it gets now."""
    p_best: float
    """The probability that it is the best of those offered."""
    utility: Interval
    """Its utility: the weighted sum over metrics, or the mean itself where there is one metric."""
    expected_loss: float
    """How much utility per decision choosing it would cost, as far as is known."""
    lift: Interval | None
    """Utility over the control's; None without one."""
    p_over_control: float | None
    """The probability that it is better than the control."""
    metrics: tuple[MetricReport, ...]
    """Metric by metric."""
    density: tuple[float, ...] = field(repr=False)
    """The density of its utility at equal steps over the report's axis."""


@dataclass(frozen=True, slots=True)
class Moment(Record):
    """One bucket of time."""

    epoch: int
    """The bucket."""
    rewards: float
    """Rewards of the first metric in it."""
    mean: float
    """Their mean."""
    regret: float
    """What was lost in it against the variant that is believed to be the best now."""


@dataclass(frozen=True, slots=True)
class PromptReport(Document):
    """What is known of a concept."""

    _kind: ClassVar[str] = "prompt_report"

    schema: int
    """Version of the JSON form."""
    concept: str
    """The concept."""
    variants: tuple[VariantReport, ...]
    """Variants that are offered, the likeliest to be the best first."""
    resting: int
    """How many others are paused or retired."""
    finished: bool
    """Whether the rule says that it is decided."""
    leader: str
    """Id of the leader."""
    verdict: str
    """Why it is decided or not, in words."""
    axis: tuple[float, ...]
    """The axis of the densities, from and to."""
    history: tuple[Moment, ...]
    """Bucket by bucket."""
    metric: str
    """Name of the first metric."""

    def summary(self) -> str:
        """A few lines for a terminal."""
        return _sonicforge.prompt_summary(self.to_json())

    def svg(self) -> str:
        """As a picture: one self-contained SVG."""
        return _sonicforge.prompt_svg(self.to_json())


@dataclass(frozen=True, slots=True)
class Imported(Record):
    """What came of an import."""

    variants: int
    """Variants that the text holds."""
    new: int
    """Rewards that were not known."""
    revised: int
    """Rewards that were known with a lower revision."""
    duplicate: int
    """Rewards that were known."""
    stale: int
    """Rewards that were known with a higher revision."""


@dataclass(frozen=True, slots=True)
class LoggedReward(Record):
    """One rewarded decision."""

    variant: str
    """Id of what was drawn."""
    propensity: float
    """With what probability."""
    reward: float
    """The reward."""
    epoch: int
    """The bucket of time."""


@dataclass(frozen=True, slots=True)
class Estimate(Record):
    """A reward per decision and its 95 % interval."""

    value: float
    """Reward per decision."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


@dataclass(frozen=True, slots=True)
class Evaluation(Record):
    """What a log says of a policy."""

    decisions: int
    """Decisions in the log."""
    effective: float
    """Effective sample size: as many decisions of the policy itself would say as much."""
    ips: Estimate
    """Inverse propensity score: unbiased, wide."""
    snips: Estimate
    """Self-normalized: a little biased, narrower."""
    dr: Estimate | None
    """Doubly robust, where every decision came with a model."""
    warning: str | None
    """Why not to trust it, in words."""


class Duel(NamedTuple):
    """Two prompts to be compared."""

    token: str
    """What the verdict is to come back with: 1 where the first won, 0 where the second did, 0.5 for a draw."""
    decision: str
    """The decision's id."""
    first: Variant
    """The first."""
    second: Variant
    """The second."""
    propensity: float
    """The probability of this pair, in any order."""


class Feedback(NamedTuple):
    """A reward that is to be counted."""

    token: str
    """Of the suggestion."""
    value: float
    """In the range of the metric's kind."""
    metric: str | None = None
    """The first metric when none is named."""
    revision: int = 0
    """The highest revision holds; of equal ones the larger value."""


class Evolved(NamedTuple):
    """What an evolution changed."""

    retired: list[Variant]
    """The hopeless."""
    added: list[Variant]
    """What takes their place."""


def _variants(text: str) -> list[Variant]:
    return [Variant.from_dict(fields) for fields in json.loads(text)]


class PromptOptimizer:
    """Learns which prompts please. May be shared between threads; processes share the store.

    `store` is "memory:", the path of an SQLite file, "redis://host:port/db" or "redis+sentinel://host:port,…/service".
    `durability` is SQLite's: with "power" a reward is acknowledged when it is on the disk, with "process" it survives
    the death of the process. `spool` is a file of this process alone, before a Redis server that may forget.

    The other arguments: `policy` takes "mode" ("thompson", "optimistic", "top_two"), "floor", "control_share" and
    "max_share"; `drift` is "auto", "none", {"discount": 0.99} or {"window": 30}, in buckets of `bucket_s` seconds;
    `linear` takes "ridge" and "exploration". Every call releases the GIL: from asyncio use `asyncio.to_thread`.
    """

    def __init__(
        self,
        space: Space | None = None,
        *,
        store: StrPath = "memory:",
        durability: Literal["power", "process"] = "power",
        spool: StrPath | None = None,
        name: str = "sonicforge",
        metrics: Sequence[Metric | str] = ("approval",),
        model: Literal["auto", "independent"] = "auto",
        drift: str | Mapping[str, float] = "auto",
        policy: Mapping[str, Any] | None = None,
        prior: tuple[float, float] = (1.0, 1.0),
        linear: Mapping[str, float] | None = None,
        bucket_s: int = 86_400,
        refresh_rewards: int = 1,
        refresh_ms: int = 200,
        seed: int = 0,
        secret: str | None = None,
    ) -> None:
        options = {
            "name": name,
            "metrics": [(Metric(m) if isinstance(m, str) else m).to_dict() for m in metrics],
            "model": model,
            "drift": drift if isinstance(drift, str) else dict(drift),
            "policy": dict(policy or {}),
            "prior": list(prior),
            "linear": dict(linear or {}),
            "bucket_s": bucket_s,
            "refresh_rewards": refresh_rewards,
            "refresh_ms": refresh_ms,
            "seed": seed,
            "secret": secret,
        }
        self._space = space
        text = None if space is None else json.dumps(space.to_dict())
        self._native = _sonicforge.Optimizer(text, os.fspath(store), durability, spool, _json(options))

    @property
    def space(self) -> Space | None:
        """The space, where there is one."""
        return self._space

    @property
    def options(self) -> dict[str, Any]:
        """All options with their values."""
        options: dict[str, Any] = json.loads(self._native.options())
        return options

    def suggest(
        self,
        concept: str,
        *,
        decision: str | None = None,
        epoch: int | None = None,
        context: Sequence[float] | None = None,
    ) -> Suggestion:
        """Draws a prompt for a concept. Nothing is written: the token carries all that the reward needs.

        A `decision` (24 hexadecimal digits) makes it repeatable; `context` is what it depends on, best within ±1.
        """
        return self._native.suggest(concept, decision, epoch, None if context is None else [float(x) for x in context])

    def suggest_batch(self, concept: str, count: int) -> list[Suggestion]:
        """Several independent suggestions, for generating in parallel."""
        return self._native.suggest_batch(concept, count)

    def suggest_top(self, concept: str, count: int) -> list[Suggestion]:
        """Several different variants; `propensity` is the probability of being among them."""
        return self._native.suggest_top(concept, count)

    def suggest_duel(self, concept: str) -> Duel:
        """Two different variants to be compared by a listener."""
        token, decision, first, second, propensity = self._native.suggest_duel(concept)
        a, b = (Variant.from_dict(json.loads(text)) for text in (first, second))
        return Duel(token, decision, a, b, propensity)

    def reward(self, token: str, value: float, *, metric: str | None = None, revision: int = 0) -> Applied:
        """Counts a reward: "new", "duplicate", "revised" or "stale". It counts once, however often it comes."""
        return self._native.reward(token, float(value), metric, revision)

    def reward_all(self, feedback: Iterable[Feedback]) -> list[Applied]:
        """Counts rewards, all or none; says of each what became of it."""
        return self._native.reward_all([(f.token, f.metric, float(f.value), f.revision) for f in feedback])

    def variants(self, concept: str) -> list[Variant]:
        """All variants of a concept, in the order of their ids."""
        return _variants(self._native.variants(concept))

    def concepts(self) -> list[str]:
        """All concepts that have variants."""
        return self._native.concepts()

    def add(
        self, concept: str, text: str = "", *, slots: Mapping[str, str] | None = None, control: bool = False
    ) -> Variant:
        """Offers a variant from now on, from one value per slot or of free text; what is there stays as it is."""
        if (slots is None) == (not text):
            raise InvalidArgumentError("pass either a text or slots")
        given = None if slots is None else json.dumps(dict(slots))
        return Variant.from_dict(json.loads(self._native.add(concept, given, text, control)))

    def set_status(self, concept: str, variant: str, status: Status) -> None:
        """Pauses, retires or resumes a variant."""
        self._native.set_status(concept, variant, status)

    def set_control(self, concept: str, variant: str) -> None:
        """Makes a variant the control of its concept, in place of the one before."""
        self._native.set_control(concept, variant)

    def start(self, concept: str, count: int = 4) -> list[Variant]:
        """Begins a concept with variants spread over the space; where it has active ones, nothing happens."""
        return _variants(self._native.start(concept, count))

    def propose(self, concept: str, count: int = 1) -> list[Variant]:
        """New variants that are likely to please, by what the slots have shown so far; they are not added yet."""
        return _variants(self._native.propose(concept, count))

    def evolve(self, concept: str, *, below: float = 0.005, at_least: int = 20) -> Evolved:
        """Retires the hopeless (P(best) `below` it after `at_least` rewards) and adds a new proposal for each."""
        retired, added = json.loads(self._native.evolve(concept, below, at_least))
        return Evolved([Variant.from_dict(v) for v in retired], [Variant.from_dict(v) for v in added])

    def policy(self, concept: str) -> dict[str, float]:
        """The probabilities that suggestions are drawn with now, by variant id."""
        return dict(self._native.policy(concept))

    def report(
        self, concept: str, *, p_best: float = 0.95, expected_loss: float = 0.0, at_least: int = 20
    ) -> PromptReport:
        """What is known of a concept, and whether it is decided.

        It is when a variant is the best with probability `p_best`, or when choosing the leader is expected to cost at
        most `expected_loss`; not before `at_least` rewards for each variant on the average.
        """
        rule = _json({"p_best": p_best, "expected_loss": expected_loss, "at_least": at_least})
        return PromptReport.from_dict(json.loads(self._native.report(concept, rule)))

    def log(self, concept: str, *, metric: str | None = None) -> list[LoggedReward]:
        """The rewarded decisions of a concept, with their propensities."""
        return [LoggedReward.from_dict(row) for row in json.loads(self._native.log(concept, metric))]

    def evaluate(self, concept: str, policy: Mapping[str, float], *, metric: str | None = None) -> Evaluation:
        """What another policy (probabilities by variant id, summing to 1) would have earned."""
        return Evaluation.from_dict(json.loads(self._native.evaluate(concept, metric, list(policy.items()))))

    def export_state(self) -> str:
        """Variants and ledger as JSON: the same text after any order of the same events."""
        return self._native.export_state()

    def import_state(self, text: str) -> Imported:
        """Merges what another optimizer exported; may be done twice."""
        return Imported.from_dict(json.loads(self._native.import_state(text)))

    def refresh(self) -> None:
        """Asks the store for everything that others have done."""
        self._native.refresh()

    def flush(self) -> int:
        """Delivers what a spool holds; how many rewards are still on the way."""
        return self._native.flush()


def evaluate_policy(
    *,
    propensity: Sequence[float],
    reward: Sequence[float],
    target: Sequence[float],
    model: Sequence[tuple[float, float]] | None = None,
) -> Evaluation:
    """What another policy would have earned, from any log: IPS, self-normalized IPS and, with a model, doubly robust.

    Row by row the logged probability of what was drawn, its reward, the probability with which the policy in question
    would have drawn it and, as `model`, the rewards that are expected of what was drawn and of that policy.
    """
    if not len(propensity) == len(reward) == len(target) or (model is not None and len(model) != len(reward)):
        raise InvalidArgumentError("propensity, reward, target and model differ in length; expected one row each")
    rows = [
        {
            "propensity": float(p),
            "reward": float(r),
            "target": float(t),
            "model": None if model is None else list(model[i]),
        }
        for i, (p, r, t) in enumerate(zip(propensity, reward, target, strict=True))
    ]
    return Evaluation.from_dict(json.loads(_sonicforge.evaluate_policy(_json(rows))))


def _json(value: Any) -> str:  # noqa: ANN401
    """JSON text; NaN and infinities, which it does not know, are refused with words."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise InvalidArgumentError(f"{error}; expected finite numbers") from None
