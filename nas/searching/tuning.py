"""Run Ray Tune. It only dispatches the trainings; its files go to a folder that is removed."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from ray import tune

from nas.searching.callbacks import SessionCallback, SessionStopper
from nas.searching.searcher import SessionSearcher
from nas.searching.stopping import scheduler
from nas.searching.trainable import CandidateTrainable, MakeEvaluator


def run_tune(searcher: SessionSearcher, evaluate: MakeEvaluator) -> None:
    """Train the candidates of the searcher's session on its machine until it has no more, or is stopped.

    evaluate  makes the evaluator in the process of each slot
    """
    machine, session = searcher.machine, searcher.session
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(machine.max_candidates)  # all start at once, not one by one
    trainable = tune.with_parameters(CandidateTrainable, evaluate=evaluate, machine=machine)
    with tempfile.TemporaryDirectory(prefix="nas-") as scratch:
        tune.Tuner(
            tune.with_resources(
                trainable, lambda config: tune.PlacementGroupFactory([machine.resources(config["slots"])])
            ),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler(session.space, searcher.candidate, session.past),
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_trial_id,
                trial_dirname_creator=_trial_id,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=scratch,
                stop=SessionStopper(searcher),
                callbacks=[SessionCallback(searcher)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        ).fit()


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)
