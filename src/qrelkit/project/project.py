"""The composition root: names become objects here, and nowhere else.

project = Project.open()            # qrelkit.yaml of this folder
project.collection, project.runs(), project.human(), project.store
project.judge(pool)                 # the Judge of the configuration, with guideline, examples, descriptions
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from glob import escape, glob
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from qrelkit.core.collection import Collection
from qrelkit.core.doors import Describer, GuideWriter, Judge, Model, Store
from qrelkit.core.errors import InputError, Mismatch, UnknownName
from qrelkit.core.guideline import Guideline, Scale
from qrelkit.core.pool import Pool
from qrelkit.core.qrels import Qrels
from qrelkit.core.run import Run
from qrelkit.core.wire import Settings, Shrink
from qrelkit.project.config import NAME, Config, JudgeConfig, SamplingConfig, StageConfig, read_config

if TYPE_CHECKING:
    from qrelkit.judges.pointwise import Look
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
            return load(spec if spec.startswith("irds:") else str(self.at(spec)))
        return load(**{k: str(self.at(v)) if k in ("documents", "queries") else v for k, v in spec.items()})

    @cached_property
    def store(self) -> Store:
        from qrelkit.stores.sql import SqlStore

        path = self.config.store
        if "://" in path:
            return SqlStore(path)
        file = self.at(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        return SqlStore(str(file))

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
        """Human judgments by assessor: files of the configuration (else those beside the collection), and what was typed in
        a review, which counts where it is about a pair of the file."""
        from qrelkit.formats.files import checked_columns, read_any_qrels

        columns = checked_columns(self.config.columns)
        out = {name: read_any_qrels(str(self.at(path)), name, columns=columns) for name, path in self.config.qrels.items()}
        if not out and self.config.collection:
            out = dict(self.collection.qrels)
        return out | {name: out[name].updated(typed) if name in out else typed for name, typed in self.reviewed().items()}

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
        known = {orjson.loads(text).get("model") for text in store.judges()["settings"]} - {None}
        if not name and len(known) != 1:
            several = ", ".join(sorted(known)) or "none"
            raise InputError(f"{file}: the models that judged there: {several}; name one: replay:{path}#MODEL")
        return Replay.from_store(store, name or min(known))

    def _options(self, name: str) -> dict[str, Any]:
        from qrelkit.models.endpoint import LOOPBACK
        from qrelkit.models.prices import read_prices

        prices = self.config.prices
        own = self.config.models.get(name)
        allowed = (self.config.allow_hosts or [*LOOPBACK]) if self.config.local_only else None
        return {
            "base_url": own.base_url if own else None,
            "timeout_s": own.timeout_s if own else 120.0,
            "extra_body": dict(own.extra_body) if own else None,
            "at_once": self.config.at_once,
            "prices": read_prices(str(self.at(prices)) if isinstance(prices, str) else prices),
            "allow_hosts": allowed,
        }

    def models(self, *names: str) -> Mapping[str, Model]:
        """The models by the names their requests carry (a script's own name has its digest)."""
        models = [self.model(name) for name in names if name not in BUILT_IN]
        return {model.name: model for model in models}

    # assessors

    def guide_writer(self) -> GuideWriter:
        from qrelkit.judges.guide import Guide
        from qrelkit.judges.prompt import read_prompt

        stage = self.config.guide
        if stage is None:
            raise InputError("no model writes guidelines: give --model provider:name, or `guide: {model: …}` in qrelkit.yaml")
        if stage.model in BUILT_IN:
            raise InputError(f"{stage.model} cannot write guidelines; that needs a language model (provider:name)")
        prompt = read_prompt(self._prompt(stage, "guide"), "guide")
        instructions = stage.instructions or self.config.instructions
        return Guide(
            self.model(stage.model).name, self.scale, prompt, instructions=instructions, sampling=_settings(stage.sampling)
        )

    def describer(self) -> Describer:
        from qrelkit.judges.describe import Describe
        from qrelkit.judges.palette import Palette
        from qrelkit.judges.prompt import read_prompt

        stage = self.config.describe or StageConfig(model="palette")
        if stage.model == "palette":
            return Palette()
        if stage.model in BUILT_IN:
            raise UnknownName("describer", stage.model, ["palette", "openai:…"])
        prompt = read_prompt(self._prompt(stage, "describe"), "describe")
        shrink = Shrink(max_side_px=stage.max_side_px)
        return Describe(
            self.model(stage.model).name,
            prompt,
            shrink=shrink,
            sampling=_settings(stage.sampling),
            instructions=stage.instructions,
        )

    def judge(self, pool: Pool, descriptions: Mapping[str, str] | None = None, *, draft: bool = False) -> Judge:
        """The configured judge for a pool (a lexical one learns its cuts from the pool or from human qrels).

        For an estimate beforehand, `descriptions` (image digest → text) stand in for those of the store, and a `draft` does
        without guidelines that are still to be written.
        """
        stage = self.config.judge
        if stage.model == "lexical":
            return self._lexical(pool, self.descriptions(stage.route != "text") if descriptions is None else descriptions)
        told = self.descriptions(stage.route == "described") if descriptions is None else descriptions
        return self._pointwise(pool, told, self.guideline(draft=draft))

    def descriptions(self, wanted: bool) -> dict[str, str]:
        """Image digest → text: what the describer has done so far; nothing where the judge's route does not use it."""
        return dict(self.store.descriptions(self.describer().key)) if wanted else {}

    def guideline(self, *, draft: bool = False) -> Guideline:
        """Scale, instructions, and the newest (or newest approved) version of each query's part, as of now.

        Where guidelines are wanted (`guide:`, or only approved ones) a query without one is not judged, unless in a `draft`.
        """
        from qrelkit.steps.guide import newest

        stage, folder = self.config.judge, self.at(self.config.guidelines)
        texts = dict(self.collection.queries.select("query_id", "text").iter_rows())
        own = newest(self.store, folder, approved=stage.approved, texts=texts) if stage.guided else {}
        return Guideline(
            scale=self.scale,
            instructions=stage.instructions or self.config.instructions,
            queries=own,
            required=not draft and stage.guided and (stage.approved or self.config.guide is not None),
        )

    def examples(self, query_ids: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """The examples that the judge is shown, per query; empty without `judge.examples`."""
        from qrelkit.judges.examples import Draw, draw_examples

        wanted = self.config.judge.examples
        if wanted is None:
            return {}
        human = self.human()
        if not human:
            raise Mismatch("judge.examples needs human qrels to draw from, and there are none")
        draw = Draw(n=wanted.n, rule=wanted.rule, grades=tuple(wanted.grades), seed=wanted.seed)
        return draw_examples(next(iter(human.values())), self.collection, query_ids, draw)

    def _pointwise(self, pool: Pool, descriptions: Mapping[str, str], guideline: Guideline) -> Judge:
        from qrelkit.judges.pointwise import Pointwise
        from qrelkit.judges.prompt import read_prompt

        stage = self.config.judge
        query_ids: list[str] = pool.frame["query_id"].unique(maintain_order=True).to_list()
        return Pointwise(
            self.model(stage.model).name,
            guideline,
            read_prompt(self._prompt(stage, "pointwise"), "judge"),
            sampling=_settings(stage.sampling),
            samples=stage.samples,
            examples=self.examples(query_ids),
            descriptions=descriptions,
            look=_look(stage),
            name=stage.name,
        )

    def _lexical(self, pool: Pool, descriptions: Mapping[str, str]) -> Judge:
        from qrelkit.judges.lexical import Lexical

        stage = self.config.judge
        described = stage.route != "text"
        return Lexical.fit(
            pool.frame.select("query_id", "doc_id"),
            self.collection,
            self.scale,
            descriptions=described_documents(self.collection, descriptions) if described else None,
            cuts=self._cuts(stage.cuts),
            analyzer=stage.analyzer,
            seed=self.config.seed,
            requires_description=described,
        )

    def _cuts(self, name: str) -> Literal["quantile"] | Qrels:
        """Where the lexical judge's cuts come from: the pool's own quantiles, or the qrels of an assessor."""
        if name == "quantile":
            return "quantile"
        human = self.human()
        if name not in human:
            raise UnknownName("assessor to learn cuts from", name, ["quantile", *human])
        return human[name]

    def _prompt(self, stage: StageConfig, shipped: str) -> str:
        if stage.prompt and self.at(stage.prompt).is_file():
            return str(self.at(stage.prompt))
        return stage.prompt or shipped


def described_documents(collection: Collection, descriptions: Mapping[str, str]) -> dict[str, str]:
    """Document id → the descriptions of its images, joined in their order."""
    columns = {"digest": list(descriptions.keys()), "text": list(descriptions.values())}
    texts = pl.DataFrame(columns, schema={"digest": pl.String, "text": pl.String})
    rows = collection.images().select("doc_id", "digest", "position").join(texts, on="digest").sort("doc_id", "position")
    joined = rows.group_by("doc_id", maintain_order=True).agg(pl.col("text").str.join(" "))
    return dict(joined.iter_rows())


def _look(stage: JudgeConfig) -> Look:
    from qrelkit.judges.pointwise import Look

    shrink = Shrink(max_side_px=stage.max_side_px)
    return Look(route=stage.route, fields=tuple(stage.fields), max_document_chars=stage.max_document_chars, shrink=shrink)


def _settings(sampling: SamplingConfig) -> Settings:
    return Settings(**sampling.model_dump())
