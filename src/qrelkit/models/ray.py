"""The same model as `local:` on a Ray cluster, through Ray Data: `ray:FOLDER` or `ray:OWNER/NAME`.

    requests ─▶ batches (alike, by length) ─▶ Ray Data, a row per batch ─▶ engines, loaded once ─▶ replies

Ray Data starts the actors of a dataset anew for every dataset, and a model takes seconds to minutes to load. So the engines are
actors that live as long as this object, and the rows of every dataset are handed to them.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from qrelkit.core.errors import InputError, Rejected, Unreachable
from qrelkit.core.wire import Reply
from qrelkit.models.local import Local, needs
from qrelkit.models.local_batches import batches
from qrelkit.models.local_requests import PlainRequest, refuse_pictures
from qrelkit.models.local_weights import Weights

REQUESTS_PER_DATASET, BATCHES_PER_DATASET = 512, 16  # at least, in all and per engine: a dataset takes a quarter of a second
LOADED_WITHIN_S = 1800.0  # for a cluster that is to find room for the engines, or grow, and load them


class Keeper:
    """One engine of the cluster, in an actor: loaded when first needed, and again where the actor had to be restarted."""

    def __init__(self, weights: Weights, options: Mapping[str, Any]) -> None:
        self.weights, self.options = weights, dict(options)
        self.engine: Any = None

    def load(self) -> tuple[str, bool]:
        """Why it cannot be loaded, "" where it is; and whether it sees images."""
        try:
            return "", bool(self._loaded().prompts.sees)
        except (InputError, Rejected) as error:
            return str(error), False

    def replies(self, rows: Sequence[PlainRequest]) -> list[Reply]:
        """One reply per row; a batch that is rejected has failed, and takes no other one of the dataset with it."""
        try:
            return list(self._loaded().replies(rows))
        except Rejected as error:
            return [Reply(text="", outcome="failed", error=str(error))] * len(rows)

    def _loaded(self) -> Any:
        if self.engine is None:
            import torch

            from qrelkit.models.local_engine import Engine

            torch.set_num_threads(1)  # an engine without a GPU has one CPU: take as many `actors`
            self.engine = Engine(self.weights, **self.options)
        return self.engine


class Ray(Local):
    """A model on a Ray cluster: that of `address`, else one that is started on this machine (Ray listens on its network and lets
    in whoever has the token that it keeps in the user's home).

    `actors` engines are loaded, each on a GPU of its own where the cluster has any, else on one CPU; the other options are those
    of `Local`. qrelkit, and a folder of weights under the same path, must be on every machine. With `allow_hosts` every machine
    of a cluster must be among them. The engines stay until this object goes.

    Raises MissingExtra without Ray, InputError as `Local` does.
    """

    def __init__(
        self,
        name: str,
        *,
        address: str | None = None,
        actors: int = 1,
        allow_hosts: Collection[str] | None = None,
        **options: Any,
    ) -> None:
        needs("a model on a Ray cluster", "ray", "ray")
        super().__init__(name, **options)
        self.address, self.actors = address, actors
        self.allow_hosts = None if allow_hosts is None else {host.lower() for host in allow_hosts}
        self.at_most = max(REQUESTS_PER_DATASET, BATCHES_PER_DATASET * self.options["batch_size"] * actors)
        self._keepers: list[Any] = []
        self._sees = False

    def _answers(self, rows: Sequence[PlainRequest], halt: threading.Event) -> Sequence[Reply]:
        from ray.exceptions import RayError

        try:
            if not self._keepers:
                self._start()
            if not self._sees:
                refuse_pictures(rows, self.name)
            return self._through_data(rows, halt)
        except RayError as error:
            raise Unreachable(f"{self.name}: the cluster: {_first_line(error)}") from error

    def _start(self) -> None:
        """Joins the cluster and loads the engines."""
        ray = connected(self.address)
        if self.address is not None and self.allow_hosts is not None:
            refuse_hosts((str(node["NodeManagerAddress"]) for node in ray.nodes()), self.allow_hosts)
        gpu = self.options["device"] != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
        share = {"num_gpus": 1, "num_cpus": 0} if gpu else {"num_cpus": 1}
        actor = ray.remote(Keeper).options(**share, max_restarts=3, max_task_retries=3)
        keepers = [actor.remote(self.weights, self.options) for _ in range(self.actors)]
        try:
            loaded = ray.get([keeper.load.remote() for keeper in keepers], timeout=LOADED_WITHIN_S)
        except ray.exceptions.GetTimeoutError:
            raise Rejected(
                f"{self.name}: the cluster found no room for {self.actors} engines within {LOADED_WITHIN_S / 60:.0f} minutes; "
                f"it has {dict(ray.cluster_resources())}: lower `actors`",
                fatal=True,
            ) from None
        for problem, _ in loaded:
            if problem:
                raise Rejected(problem, fatal=True)
        self._keepers, self._sees = keepers, loaded[0][1]

    def _through_data(self, rows: Sequence[PlainRequest], halt: threading.Event) -> list[Reply]:
        import ray.data

        together = list(batches(rows, self.options["batch_size"]))
        given = [{"at": at, "requests": pickle.dumps([rows[i] for i in batch])} for at, batch in enumerate(together)]
        data = ray.data.from_items(given, override_num_blocks=len(given)).map(
            hand_over,
            fn_kwargs={"keepers": self._keepers},
            num_cpus=0,  # it only waits for a keeper
            compute=ray.data.TaskPoolStrategy(size=min(2 * self.actors, len(given))),  # a keeper always has its next batch
        )
        out: list[Reply] = [Reply(text="", outcome="failed", error="stopped before it was answered")] * len(rows)
        for row in data.iter_rows():
            for at, reply in zip(together[row["at"]], pickle.loads(row["replies"]), strict=True):
                out[at] = reply
            if halt.is_set():
                break
        return out


def hand_over(row: dict[str, Any], keepers: Sequence[Any]) -> dict[str, Any]:
    """A row of the dataset, one batch, answered by the keeper whose turn it is."""
    import ray

    keeper = keepers[row["at"] % len(keepers)]
    return {"at": row["at"], "replies": pickle.dumps(ray.get(keeper.replies.remote(pickle.loads(row["requests"]))))}


def connected(address: str | None, **settings: Any) -> Any:
    """Ray, connected: as the process is already, else to `address`, else to a cluster that is started on this machine, with
    `settings` of `ray.init`.

    Nothing is reported to anybody, and no dashboard is opened. Raises Unreachable where there is no cluster.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported
    import logging

    import ray
    import ray.data

    if not ray.is_initialized():
        place = {"address": address} if address else {"address": "local", "include_dashboard": False}
        try:
            in_lasting_thread(lambda: ray.init(**place, log_to_driver=False, logging_level="ERROR", **settings))
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise Unreachable(f"no Ray cluster at {address or 'this machine'}: {_first_line(error)}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def in_lasting_thread(work: Callable[[], object]) -> None:
    """Does the work in a thread that lives as long as the process: Linux ends Ray's servers with the *thread* that started them,
    and ours end with every drive."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # handed over to the caller's thread, which raises it
            done.set_exception(error)
            return
        done.set_result(None)
        threading.Event().wait()

    threading.Thread(target=run, name="qrelkit-ray", daemon=True).start()
    done.result()


def refuse_hosts(hosts: Iterable[str], allowed: Collection[str]) -> None:
    """Raises InputError for a machine of the cluster that may not be sent anything."""
    for host in hosts:
        if host.lower() not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            raise InputError(f"the machine {host} of the Ray cluster is not allowed (allowed: {known}); no request was sent")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
