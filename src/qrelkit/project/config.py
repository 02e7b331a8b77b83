"""qrelkit.yaml: one file per project. Unknown keys are errors with the near ones; secrets stay in the environment.

collection: catalogue              # a folder, irds:…, or {documents: …, queries: …, columns: {…}}
runs: [runs/*.trec]
qrels: {ann: judged.qrels}         # human judgments by assessor; without `qrels:`, those beside the collection
scale: product-3
judge: {model: "openai:gpt-4o-mini", route: shown}
measures: [nDCG@10, P@5]
budget_usd: 5
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qrelkit.core.yaml_files import known_keys, modelled, read_mapping
from qrelkit.project.presets import with_preset

NAME = "qrelkit.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SamplingConfig(_Strict):
    """Sampling settings of one stage; `null` is not sent."""

    temperature: float | None = 0.0
    max_tokens: int | None = 1024
    top_p: float | None = None
    seed: int | None = None
    token_probabilities: bool = False


class ExamplesConfig(_Strict):
    """Examples shown to the judge, drawn from the human qrels by a rule."""

    n: int = Field(ge=1)
    rule: Literal["same_query", "other_queries"] = "other_queries"
    grades: list[int] = []
    seed: int = 0
    missing: Literal["stop", "fail"] = "stop"  # what happens where a query has none
    order: Literal["similar_last", "similar_first", "relevant_first", "relevant_last", "as_drawn"] = "similar_last"
    noise: int = Field(default=0, ge=0)  # so many pairs of other queries more


class StageConfig(_Strict):
    """What guide and describe have in common."""

    model: str
    prompt: str = ""
    instructions: str = ""
    sampling: SamplingConfig = SamplingConfig()
    max_side_px: int = Field(default=768, ge=16, le=8192)


class UnsureConfig(_Strict):
    """When a pair goes on to the next judge of a cascade; one without a grade always does."""

    below: float | None = Field(default=None, gt=0, le=1)
    grades: list[int] = []


class JudgeConfig(StageConfig):
    """The judge: `model` is provider:name, `labels:FILE` or `lexical`, `route` what of a document it gets.

    With `cascade` or `panel` it is several judges; what one of them does not say it takes from the keys beside them.
    """

    preset: str = ""  # keys by a name (`project/presets.py`)
    model: str = "lexical"
    route: Literal["text", "described", "shown"] = "text"
    guided: bool = True
    approved: bool = False
    examples: ExamplesConfig | None = None
    samples: int = Field(default=1, ge=1)
    fields: list[str] = []
    max_document_chars: int = Field(default=40_000, ge=100)
    images: int | None = Field(default=None, ge=1)  # at most so many of a document
    per_request: int = Field(default=1, ge=1, le=100)  # documents of one query in a request
    seed: int = 0  # of the groups that are asked together
    cascade: list[JudgeConfig] = []
    unsure: UnsureConfig | None = None
    panel: list[JudgeConfig] = []
    rule: Literal["majority", "median", "mean"] = "majority"  # panel: one grade from the votes
    quorum: float = Field(default=0.5, ge=0, le=1)  # panel: the share of members that must give a grade
    name: str = ""
    analyzer: str = "auto"  # lexical: how texts become terms
    cuts: str = "quantile"  # lexical: quantile, or the assessor whose qrels the cuts are learnt from

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, said: Any) -> Any:
        return with_preset(said) if isinstance(said, dict) else said


class ModelConfig(_Strict):
    """Where a model is and how it may be used."""

    base_url: str | None = None
    timeout_s: float = Field(default=120.0, gt=0)
    connect_timeout_s: float = Field(default=10.0, gt=0)
    stalled_s: float | None = Field(default=None, gt=0)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    extra_body: dict[str, Any] = {}
    cache_marks: bool = True  # anthropic: what is common to many requests is marked for the provider's cache
    device: str = "auto"  # local and ray: auto, cpu, cuda …
    dtype: str = "auto"  # local and ray: the number format
    batch_size: int = Field(default=8, ge=1)  # local and ray: prompts that are answered together
    actors: int = Field(default=1, ge=1)  # ray: engines on the cluster
    address: str | None = None  # ray: of the cluster; a local one without


class StoreConfig(_Strict):
    """Where the store is, how surely it writes, and how much it keeps of a conversation."""

    where: str = ".qrelkit/store.db"
    sync: Literal["full", "normal"] = "full"
    keep: Literal["full", "replies", "grades"] = "full"


class BudgetConfig(_Strict):
    """What may be spent, by one call or in a month (UTC, counted from the store); a currency needs its rate in the prices."""

    amount: float = Field(gt=0)
    currency: str = "USD"
    per: Literal["run", "month"] = "run"


class Config(_Strict):
    """The whole of qrelkit.yaml."""

    collection: str | dict[str, Any] = ""
    runs: list[str] = []
    systems: dict[str, str] = {}  # the model that a run (by its tag) was made with: a judge of its family is warned of
    qrels: dict[str, str] = {}
    columns: dict[str, str] = {}  # of runs and qrels that are tables: our names and theirs
    collapse: bool = False  # of a document that a run lists twice, the best counts
    parents: str = ""  # a table of variants and their parents: runs are collapsed to the parent
    scale: str | dict[str, Any] = "product-3"
    instructions: str = ""
    store: str | StoreConfig = ".qrelkit/store.db"
    guidelines: str = "guidelines"
    depth: int = Field(default=20, ge=1)
    measures: list[str] = ["nDCG@10", "P@5", "Judged@10"]
    guide: StageConfig | None = None
    describe: StageConfig | None = None
    judge: JudgeConfig = JudgeConfig()
    models: dict[str, ModelConfig] = {}
    prices: dict[str, Any] | str = {}
    by: list[str] = []  # columns of the queries to split the report by
    weight: str = ""  # the column of the queries that they count by
    budget_usd: float | None = Field(default=None, gt=0)
    budget: BudgetConfig | None = None
    at_once: Annotated[int, Field(ge=1, le=10_000)] | Literal["auto"] = 16
    between: str = ""  # the hours in which models may be asked: "19:00-07:00"
    images_in_flight_mb: float = Field(default=256.0, gt=0)  # encoded images on their way at a time
    no_retention: bool = False  # nothing may stay with a provider: no batches
    may_leave: list[str] | None = None  # of queries and documents only this gets into a request
    seed: int = 0
    local_only: bool = False
    allow_hosts: list[str] = []
    report: str = "report.html"


def read_config(path: Path) -> Config:
    """Reads qrelkit.yaml; raises InputError with the file and the key that is wrong."""
    return checked(read_mapping(path, such_as="collection: my-folder", absent="`qrelkit init` writes one"), str(path))


def rules_of(project: str) -> Config:
    """The configuration whose rules hold for a command that needs no project: the qrelkit.yaml that is named, or lies here; the
    defaults where there is none."""
    file = Path(project) / NAME if Path(project).is_dir() else Path(project)
    return Config() if project == NAME and not file.exists() else read_config(file)


def checked(value: dict[str, Any], where: str) -> Config:
    """A Config from a mapping; the first thing that is wrong is named with its place and, for a key, the near ones."""
    return modelled(Config, value, where, lambda parents: known_keys(Config, parents, ModelConfig))
