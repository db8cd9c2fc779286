"""Where groups of runs are evaluated: in this process, in worker processes, or on a Ray cluster.

An executor only computes. The process that started the sweep claims runs and writes the store, so
that workers need no access to it. Promises of every executor:

* each group that is taken from the iterable is answered with one outcome for each of its runs, in
  any order, as soon as they exist; a group whose worker dies is tried once more, alone, and is then
  answered with failures, not with an exception;
* a group is taken only when there is room to work on it, so that nothing is claimed too early;
* closing the iterator (an error, Ctrl-C) ends the work that is under way.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_handles
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from lossnets.errors import ConfigError, require
from lossnets.processes import main_is_importable, started_from_anywhere
from lossnets.runs.evaluate import Group, evaluate_group
from lossnets.runs.records import Failure, Outcome

Evaluate = Callable[[Group], Iterable[Outcome]]


class Executor(Protocol):
    """Evaluates groups; the promises are in this file's first lines."""

    def map(self, groups: Iterable[Group]) -> Iterator[Outcome]:
        """Outcomes of all runs of all groups."""


class LocalExecutor:
    """In this process, one group after the other; each outcome comes as soon as it exists."""

    def __init__(self, evaluate: Evaluate = evaluate_group) -> None:
        self._evaluate = evaluate

    def map(self, groups: Iterable[Group]) -> Iterator[Outcome]:
        """Outcomes of all runs of all groups."""
        for group in groups:
            yield from self._evaluate(group)


class ProcessExecutor:
    """In worker processes of this machine, started afresh (spawn) and ended with their parent.

    Args:
        workers: number of processes; each gets an equal share of torch's threads.
        evaluate: a function that pickles by name.

    A worker imports the program that started it, as Python has it, where that is a file or a module; from
    standard input and notebooks it starts without, and knows nothing that was registered there.

    Raises:
        ConfigError: ``workers`` is below 1, or workers cannot import ``evaluate``.
    """

    def __init__(self, workers: int, evaluate: Evaluate = evaluate_group) -> None:
        if workers < 1:
            raise ConfigError(f"workers must be at least 1; got {workers}")
        if getattr(evaluate, "__module__", "") == "__main__" and not main_is_importable():
            raise ConfigError(
                "evaluate is defined in a program that is no file (standard input, a notebook), and worker "
                "processes cannot import it. Define it in a module"
            )
        self.workers = workers
        self._evaluate = evaluate

    def map(self, groups: Iterable[Group]) -> Iterator[Outcome]:
        """Outcomes of all runs of all groups."""
        waiting = iter(groups)
        pool = self._pool()
        running: dict[Future[list[Outcome]], Group] = {}
        try:
            while True:
                while len(running) < self.workers and (group := next(waiting, None)) is not None:
                    refused = _out_of_reach(group)
                    if refused is not None:
                        yield from refused
                    else:
                        running[self._submit(pool, group)] = group
                if not running:
                    pool.shutdown()  # nothing is under way: the workers end by themselves
                    return
                dead: list[Group] = []
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    outcomes, group = _collect(future, running[future]), running.pop(future)
                    if outcomes is None:
                        dead.append(group)
                    else:
                        yield from outcomes
                if dead:  # one worker died, and the pool took the others with it: who was it?
                    _end(pool)
                    suspects = [*dead, *running.values()]
                    running.clear()
                    pool = self._pool()
                    for group in suspects:
                        yield from self._alone(group)
        finally:
            _end(pool)

    def _alone(self, group: Group) -> list[Outcome]:
        """Try a group again, in a process of its own."""
        pool = self._pool(1)
        try:
            answer = self._submit(pool, group)
            processes = list((getattr(pool, "_processes", None) or {}).values())
            outcomes = _collect(answer, group)
            why = _how_it_died(processes)
        finally:
            _end(pool)
        if outcomes is not None:
            return outcomes
        return [Outcome(config, failure=Failure("WorkerDied", why)) for config in group.configs]

    def _submit(self, pool: ProcessPoolExecutor, group: Group) -> Future[list[Outcome]]:
        with started_from_anywhere():
            return pool.submit(_in_worker, self._evaluate, group)

    def _pool(self, workers: int | None = None) -> ProcessPoolExecutor:
        threads = max(1, (os.cpu_count() or 1) // self.workers)
        return ProcessPoolExecutor(
            workers or self.workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(threads,),
        )


def _out_of_reach(group: Group) -> list[Outcome] | None:
    """Failures of a group whose benchmark no other process can import; None: it can."""
    if group.choice.module != "__main__" or main_is_importable():
        return None
    message = (
        f"benchmark {group.choice.name!r} is defined in a program that is no file (standard input, a "
        "notebook), and worker processes cannot import it. Define it in a module, or use LocalExecutor"
    )
    return [Outcome(config, failure=Failure("ConfigError", message)) for config in group.configs]


def _how_it_died(processes: Sequence[BaseProcess]) -> str:
    """What is to be said of a worker that ended without an answer."""
    for process in processes:
        process.join(5)
    code = next((process.exitcode for process in processes if process.exitcode), None)
    if code is not None and code > 0:
        return (
            f"the process that worked on this run ended by itself, twice (exit code {code}); its error is on "
            "standard error. A program that starts a sweep with worker processes must do so below "
            "`if __name__ == '__main__':`, because they import it. Start the sweep again to retry"
        )
    signal = "" if code is None else f" by signal {-code}"
    return (
        f"the process that worked on this run died, twice (killed{signal}, or out of memory). Start the "
        "sweep again to retry, with fewer --workers if memory was short"
    )


def _in_worker(evaluate: Evaluate, group: Group) -> list[Outcome]:
    return list(evaluate(group))


def _collect(future: Future[list[Outcome]], group: Group) -> list[Outcome] | None:
    """Outcomes of a group; None where its process died, or another one of the pool."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None
    except Exception as error:  # an outcome that does not pickle, for one
        return [Outcome(c, failure=Failure.of(error)) for c in group.configs]


def _start_worker(threads: int) -> None:
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_handles([parent.sentinel])
        os._exit(1)  # nobody is left to take the result


def _end(pool: ProcessPoolExecutor) -> None:
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:  # the interpreter would wait for them at its end
        process.join(5)
        if process.is_alive():
            process.kill()


class RayExecutor:
    """On a Ray cluster (``pip install 'lossnets[ray]'``); data and weights must be readable on its nodes.

    Args:
        address: of the cluster; None starts Ray on this machine.
        in_flight: groups that are submitted at a time.
        evaluate: what a task runs.
        options: resources of each task, as Ray's ``.options(...)`` takes them (``num_gpus=1``).

    Raises:
        MissingExtraError: Ray is not installed.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        in_flight: int = 4,
        evaluate: Evaluate = evaluate_group,
        **options: Any,
    ) -> None:
        self._ray: Any = require("ray", "ray", "running a sweep on a cluster")
        if not self._ray.is_initialized():
            self._ray.init(address=address, log_to_driver=False, include_dashboard=False)
        self._task = self._ray.remote(_in_worker).options(max_retries=0, **options)
        self._evaluate = evaluate
        self._in_flight = in_flight

    def map(self, groups: Iterable[Group]) -> Iterator[Outcome]:
        """Outcomes of all runs of all groups."""
        waiting = iter(groups)
        running: dict[Any, Group] = {}
        try:
            while True:
                while len(running) < self._in_flight and (group := next(waiting, None)) is not None:
                    running[self._task.remote(self._evaluate, group)] = group
                if not running:
                    return
                done, _ = self._ray.wait(list(running), num_returns=1)
                yield from self._collect(done[0], running.pop(done[0]))
        finally:
            for reference in running:
                self._ray.cancel(reference, force=True)

    def _collect(self, reference: Any, group: Group) -> list[Outcome]:
        try:
            outcomes: list[Outcome] = self._ray.get(reference)
        except Exception as error:  # Ray wraps what a task raised, and its own losses of nodes
            return [Outcome(config, failure=Failure.of(error)) for config in group.configs]
        return outcomes
