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
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qrelkit.core.errors import InputError, UnknownName

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


class StageConfig(_Strict):
    """What guide and describe have in common."""

    model: str
    prompt: str = ""
    instructions: str = ""
    sampling: SamplingConfig = SamplingConfig()
    max_side_px: int = Field(default=768, ge=16, le=8192)


class JudgeConfig(StageConfig):
    """The judge: `model` is provider:name or `lexical`, `route` what of a document it gets."""

    model: str = "lexical"
    route: Literal["text", "described", "shown"] = "text"
    guided: bool = True
    approved: bool = False
    examples: ExamplesConfig | None = None
    samples: int = Field(default=1, ge=1)
    fields: list[str] = []
    max_document_chars: int = Field(default=40_000, ge=100)
    name: str = ""
    analyzer: str = "auto"  # lexical: how texts become terms
    cuts: str = "quantile"  # lexical: quantile, or the assessor whose qrels the cuts are learnt from


class ModelConfig(_Strict):
    """Where a model is and how it may be used."""

    base_url: str | None = None
    timeout_s: float = 120.0
    extra_body: dict[str, Any] = {}


class Config(_Strict):
    """The whole of qrelkit.yaml."""

    collection: str | dict[str, Any] = ""
    runs: list[str] = []
    qrels: dict[str, str] = {}
    columns: dict[str, str] = {}  # of runs and qrels that are tables: our names and theirs
    collapse: bool = False  # of a document that a run lists twice, the best counts
    parents: str = ""  # a table of variants and their parents: runs are collapsed to the parent
    scale: str | dict[str, Any] = "product-3"
    instructions: str = ""
    store: str = ".qrelkit/store.db"
    guidelines: str = "guidelines"
    depth: int = Field(default=20, ge=1)
    measures: list[str] = ["nDCG@10", "P@5", "Judged@10"]
    guide: StageConfig | None = None
    describe: StageConfig | None = None
    judge: JudgeConfig = JudgeConfig()
    models: dict[str, ModelConfig] = {}
    prices: dict[str, dict[str, float]] | str = {}
    by: list[str] = []  # columns of the queries to split the report by
    weight: str = ""  # the column of the queries that they count by
    budget_usd: float | None = Field(default=None, gt=0)
    at_once: int = Field(default=16, ge=1, le=10_000)
    seed: int = 0
    local_only: bool = False
    allow_hosts: list[str] = []
    report: str = "report.html"


def read_config(path: Path) -> Config:
    """Reads qrelkit.yaml; raises InputError with the file and the key that is wrong."""
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `qrelkit init` writes one") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where, what = (f"{path}:{mark.line + 1}", getattr(error, "problem", error)) if mark else (str(path), error)
        raise InputError(f"{where}: cannot be read as YAML: {what}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: must be a mapping of keys, such as `collection: my-folder`")
    return checked(value, str(path))


def checked(value: dict[str, Any], where: str) -> Config:
    """A Config from a mapping; the first thing that is wrong is named with its place and, for a key, the near ones."""
    try:
        return Config(**value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InputError(f"{where}: {UnknownName('key', place, _known_keys(first['loc'][:-1]))}") from None
        raise InputError(f"{where}: {place}: {first['msg']} (found {first['input']!r})") from None


def _known_keys(parents: tuple[int | str, ...]) -> list[str]:
    """The full names of the keys allowed at a place."""
    fields: Any = Config
    for parent in parents:
        annotation = fields.model_fields[parent].annotation if parent in getattr(fields, "model_fields", {}) else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        fields = next((o for o in reversed(options) if isinstance(o, type) and issubclass(o, BaseModel)), ModelConfig)
    return [".".join([*map(str, parents), name]) for name in fields.model_fields]
