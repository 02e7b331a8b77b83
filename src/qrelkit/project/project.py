"""The composition root: names become objects here, and nowhere else.

project = Project.open()            # qrelkit.yaml of this folder
project.collection, project.runs(), project.human(), project.store
project.judge(pool)                 # the Judge of the configuration, with guideline, examples, descriptions
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from glob import escape, glob
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Describer, GuideWriter, Judge, Model, Store
from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.guideline import Guideline, Scale
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.core.wire import Limits, Shrink
from qrelkit.project.config import NAME, Config, JudgeConfig, ModelConfig, StageConfig, StoreConfig, read_config
from qrelkit.project.judging import LABELS, each_judge, judge_of, settings_of
from qrelkit.project.local_only import allowed_hosts, fetched, refuse_source, refuse_store
from qrelkit.project.local_options import is_local, local_options, refuse_idle_keys
from qrelkit.steps.forgotten import without_forgotten
from qrelkit.steps.pace import FOUND_AT_MOST
from qrelkit.steps.terms import Terms

if TYPE_CHECKING:
    from qrelkit.judges.pointwise import Example
    from qrelkit.models.prices import Prices
    from qrelkit.stores.sql import SqlStore

BUILT_IN = ("lexical", "palette")  # need no model


class Project:
    """A configuration with the folder its paths are relative to. Opens things when they are first needed."""

    def __init__(self, config: Config, folder: Path = Path()) -> None:
        self.config, self.folder = config, folder
        self._models: dict[str, Model] = {}
        self._recordings: list[SqlStore] = []

    @staticmethod
    def open(path: str | os.PathLike[str] = NAME) -> Project:
        """The project of a qrelkit.yaml (or of the folder that has one)."""
        file = Path(path)
        file = file / NAME if file.is_dir() else file
        return Project(read_config(file), file.parent)

    def __enter__(self) -> Project:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for store in [*self._recordings, *([self.store] if "store" in self.__dict__ else [])]:
            store.close()

    def at(self, path: str) -> Path:
        """A path of the configuration, relative to its file."""
        return self.folder / path

    @cached_property
    def collection(self) -> Collection:
        from qrelkit.steps.load import load

        spec = self.config.collection
        if not spec:
            raise InputError("no collection: name one with --collection FOLDER, or `collection:` in qrelkit.yaml")
        if isinstance(spec, str):
            here = self.at(spec).exists()
            if self.config.local_only and not here:
                refuse_source(spec)
            return load(str(self.at(spec)) if here or not fetched(spec) else spec)
        return load(**{k: str(self.at(v)) if k in ("documents", "queries", "imageclef") else v for k, v in spec.items()})

    @cached_property
    def store(self) -> Store:
        from qrelkit.stores.sql import SqlStore

        wanted = self.config.store
        wanted = StoreConfig(where=wanted) if isinstance(wanted, str) else wanted
        if "://" in wanted.where:
            if (allowed := allowed_hosts(self.config)) is not None:
                refuse_store(wanted.where, allowed, os.environ)
            return SqlStore(wanted.where, sync=wanted.sync, keep=wanted.keep)
        file = self.at(wanted.where)
        file.parent.mkdir(parents=True, exist_ok=True)
        return SqlStore(str(file), sync=wanted.sync, keep=wanted.keep)

    @property
    def at_once(self) -> int | None:
        """How many requests at a time; None where that is to be found out."""
        return None if self.config.at_once == "auto" else self.config.at_once

    def terms(self, *, batch: bool = False) -> Terms:
        """The terms on which models are asked."""
        from qrelkit.project.budget import left

        return Terms(between=self.config.between, batch=batch, left_usd=left(self))

    @cached_property
    def prices(self) -> Prices:
        """The prices of the configuration; empty without any."""
        from qrelkit.models.prices import read_prices

        named = self.config.prices
        return read_prices(self.at(named) if isinstance(named, str) else named)

    def budget_usd(self, now: datetime | None = None) -> float | None:
        """What this call may spend, by `budget_usd` and `budget`; None where there is no budget."""
        from qrelkit.project.budget import budget_left_usd

        return budget_left_usd(self.config, self.prices, self.store.spent_usd, now or datetime.now(UTC))

    @cached_property
    def scale(self) -> Scale:
        return Scale.read(self.config.scale, "scale")

    def runs(self) -> list[Run]:
        """All runs of the configuration, patterns expanded; tags that clash become file names."""
        from qrelkit.formats.files import checked_columns, read_any_runs, read_parents
        from qrelkit.formats.trec import distinct_tags

        parents, columns = self.config.parents, checked_columns(self.config.columns)
        mapping = read_parents(str(self.at(parents))) if parents else None
        options: dict[str, Any] = {"collapse": self.config.collapse, "parents": mapping, "columns": columns}
        pairs = []
        for pattern in self.config.runs:
            paths = self._matching(pattern)
            if not paths:
                raise InputError(f"runs: nothing matches {pattern!r} in {self.folder.resolve()}")
            pairs += [(run, path) for path in paths for run in read_any_runs(path, **options)]
        if not pairs:
            raise InputError("no runs: name them on the command line, or under `runs:` in qrelkit.yaml")
        return distinct_tags(pairs)

    def _matching(self, pattern: str) -> list[str]:
        """The files of a pattern; a file that is itself called like one is that file."""
        if not any(c in pattern for c in "*?[") or self.at(pattern).exists():
            return [str(self.at(pattern))]
        return sorted(glob(str(Path(escape(str(self.folder))) / pattern)))

    def human(self) -> dict[str, Qrels]:
        """Human judgments by assessor: what was imported, and what was typed in a review, which counts where it is about a pair
        of the file."""
        out = self.imported()
        return out | {name: out[name].updated(typed) if name in out else typed for name, typed in self.reviewed().items()}

    def imported(self) -> dict[str, Qrels]:
        """Human judgments by assessor: files of the configuration, else those beside the collection."""
        from qrelkit.formats.files import checked_columns, read_any_qrels

        columns = checked_columns(self.config.columns)
        out = {name: read_any_qrels(str(self.at(path)), name, columns=columns) for name, path in self.config.qrels.items()}
        if not out and self.config.collection:
            out = dict(self.collection.qrels)
        return out

    def reviewed(self) -> dict[str, Qrels]:
        """What people graded in review sheets, by assessor; a later row replaces an earlier one."""
        judges = self.store.judges().filter(pl.col("judge_key").str.starts_with("human:"))
        out = {}
        for key, name in judges.select("judge_key", "assessor").iter_rows():
            rows = self.store.judgments(key).filter(pl.col("outcome") != "failed")
            rows = rows.unique(["query_id", "doc_id"], keep="last", maintain_order=True).with_columns(origin=pl.lit(name))
            if rows.height:
                out[name] = Qrels.of(rows, name)
        return out

    def weights(self) -> dict[str, float] | None:
        """Query → weight, by the column that `weight:` names; None without. Raises InputError where it holds no numbers."""
        from qrelkit.formats.files import weights_in

        column = self.config.weight
        if not column:
            return None
        queries = self.collection.queries
        known = [name for name in queries.columns if name not in ("query_id", "text", "fingerprint")]
        if column not in known:
            raise UnknownName(f"column of the queries of {self.collection.name} (weight:)", column, known)
        return weights_in(queries.select("query_id", column), f"weight: {column}")

    # models

    def use(self, model: Model) -> None:
        """Takes a model object for its name: one of your own, or one with options that the configuration does not have."""
        self._models[model.name] = model

    def model(self, name: str) -> Model:
        """The model behind `provider:name`; one object per name. Refuses what `local_only` does not allow."""
        from qrelkit.core.plugins import find

        if name not in self._models:
            provider, colon, rest = name.partition(":")
            if not colon or not rest:
                raise InputError(f"a model is named provider:name, such as openai:gpt-4o-mini; found {name!r}")
            build = find("models", provider)
            if provider == "replay":
                self._models[name] = self._replay(rest)
            else:
                self._models[name] = build(self.at(rest)) if provider == "scripted" else build(name, **self._options(name))
        return self._models[name]

    def _replay(self, rest: str) -> Model:
        """A recording in JSONL, or another project's store; `#MODEL` behind it says which of several models."""
        import orjson

        from qrelkit.judges.several import models_of
        from qrelkit.models.replay import Replay
        from qrelkit.stores.sql import SqlStore

        path, _, name = rest.partition("#")
        file = self.at(path)
        if file.suffix not in (".db", ".sqlite"):
            return Replay(file, name or None)
        if not file.is_file():  # opening would make an empty one
            raise InputError(f"{file}: there is no such store to replay")
        store = SqlStore(str(file))
        self._recordings.append(store)
        known = {model for text in store.judges()["settings"] for model in models_of(orjson.loads(text))}
        if not name and len(known) != 1:
            several = ", ".join(sorted(known)) or "none"
            raise InputError(f"{file}: the models that judged there: {several}; name one: replay:{path}#MODEL")
        return Replay.from_store(store, name or min(known))

    def _options(self, name: str) -> dict[str, Any]:
        own, allowed = self.config.models.get(name), allowed_hosts(self.config)
        refuse_idle_keys(name, own or ModelConfig())
        if is_local(name):
            return local_options(name, own or ModelConfig(), folder=self.folder, prices=self.prices, allowed=allowed)
        return {
            "base_url": own.base_url if own else None,
            "timeout_s": own.timeout_s if own else 120.0,
            "connect_timeout_s": own.connect_timeout_s if own else 10.0,
            "stalled_s": own.stalled_s if own else None,
            "extra_body": dict(own.extra_body) if own else None,
            "at_once": self.at_once or FOUND_AT_MOST,
            "no_retention": self.config.no_retention,
            "images_in_flight_mb": self.config.images_in_flight_mb,
            "prices": self.prices,
            "limits": Limits(requests_per_minute=own.requests_per_minute, tokens_per_minute=own.tokens_per_minute)
            if own
            else Limits(),
            "allow_hosts": allowed,
            **({"cache_marks": own.cache_marks} if own and name.startswith("anthropic:") else {}),
        }

    def models(self, *names: str) -> Mapping[str, Model]:
        """The models by the names their requests carry (a script's own name has its digest); what is no model is left out."""
        models = [self.model(name) for name in dict.fromkeys(names) if name not in BUILT_IN and not name.startswith(LABELS)]
        return {model.name: model for model in models}

    def judge_models(self) -> Mapping[str, Model]:
        """Every model that the configured judge may ask: of a cascade or panel, those of all its judges."""
        return self.models(*(stage.model for stage in each_judge(self.config.judge)))

    # assessors

    def guide_writer(self) -> GuideWriter:
        from qrelkit.judges.guide import Guide
        from qrelkit.text.prompt import read_prompt

        stage = self.config.guide
        if stage is None:
            raise InputError("no model writes guidelines: give --model provider:name, or `guide: {model: …}` in qrelkit.yaml")
        if stage.model in BUILT_IN:
            raise InputError(f"{stage.model} cannot write guidelines; that needs a language model (provider:name)")
        prompt = read_prompt(self.prompt_of(stage, "guide"), "guide")
        instructions = stage.instructions or self.config.instructions
        return Guide(
            self.model(stage.model).name,
            self.scale,
            prompt,
            instructions=instructions,
            sampling=settings_of(stage.sampling),
            may_leave=self.config.may_leave,
        )

    def describer(self) -> Describer:
        from qrelkit.judges.describe import Describe
        from qrelkit.judges.palette import Palette
        from qrelkit.text.leaving import refuse_pictures
        from qrelkit.text.prompt import read_prompt

        stage = self.config.describe or StageConfig(model="palette")
        if stage.model == "palette":
            return Palette()
        if stage.model in BUILT_IN:
            raise UnknownName("describer", stage.model, ["palette", "openai:…"])
        refuse_pictures(stage.model, self.config.may_leave)
        prompt = read_prompt(self.prompt_of(stage, "describe"), "describe")
        shrink = Shrink(max_side_px=stage.max_side_px)
        return Describe(
            self.model(stage.model).name,
            prompt,
            shrink=shrink,
            sampling=settings_of(stage.sampling),
            instructions=stage.instructions,
        )

    def judge(self, pool: Pool, descriptions: Mapping[str, str] | None = None, *, draft: bool = False) -> Judge:
        """The configured judge for a pool (a lexical one learns its cuts from the pool or from human qrels).

        For an estimate beforehand, `descriptions` (image digest → text) stand in for those of the store, and a `draft` does
        without guidelines that are still to be written.
        """
        return judge_of(self, self.config.judge, pool, descriptions, draft=draft)

    def descriptions(self, wanted: bool) -> dict[str, str]:
        """Image digest → text: what the describer has done so far; nothing where the judge's route does not use it."""
        return dict(self.store.descriptions(self.describer().key)) if wanted else {}

    def guideline(self, stage: JudgeConfig | None = None, *, draft: bool = False) -> Guideline:
        """Scale, instructions, and the newest (or newest approved) version of each query's part, as of now, for a judge (unless
        named, that of the configuration).

        Where guidelines are wanted (`guide:`, or only approved ones) a query without one is not judged, unless in a `draft`.
        """
        from qrelkit.steps.guide import newest

        stage, folder = stage or self.config.judge, self.at(self.config.guidelines)
        texts = dict(self.collection.queries.select("query_id", "text").iter_rows())
        own = newest(self.store, folder, approved=stage.approved, texts=texts) if stage.guided else {}
        return Guideline(
            scale=self.scale,
            instructions=stage.instructions or self.config.instructions,
            queries=own,
            required=not draft and stage.guided and (stage.approved or self.config.guide is not None),
        )

    def examples(self, query_ids: Sequence[str], stage: JudgeConfig | None = None) -> Mapping[str, Sequence[Example]]:
        """The examples that a judge (unless named, that of the configuration) is shown, per query; empty without `examples`."""
        from qrelkit.judges.examples import Draw, draw_examples

        wanted = (stage or self.config.judge).examples
        if wanted is None:
            return {}
        human = self.human()
        if not human:
            raise Mismatch("judge.examples needs human qrels to draw from, and there are none")
        draw = Draw(**{**wanted.model_dump(), "grades": tuple(wanted.grades)})
        first = next(iter(human.values()))
        return draw_examples(Qrels(without_forgotten(first.frame, self.store), first.name), self.collection, query_ids, draw)

    def prompt_of(self, stage: StageConfig, shipped: str) -> str:
        """The prompt that a stage names, a file of the project before a shipped one; `shipped` where it names none."""
        if stage.prompt and self.at(stage.prompt).is_file():
            return str(self.at(stage.prompt))
        return stage.prompt or shipped
