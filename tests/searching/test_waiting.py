"""Trials that wait in the study: baselines, trials of an earlier session, trials that a person enqueued."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from optuna.trial import TrialState, create_trial

from nas.searching.session import Session
from nas.space import SearchSpace
from nas.study import Run
from nas.study.attributes import recorded
from nas.topology import Topology, references
from tests.helpers import scripted
from tests.helpers.sessions import drive, trained, trials_of

Make = Callable[..., Session]


# ------------------------------------------------------------------------------------------------------------ baselines


def test_baselines_are_tried_first_and_named_and_do_not_count(session: Make) -> None:
    made = session(scripted.space(baselines=["plain", "resnet", "resnet20"]), trials=2)
    done = drive(made, 5)
    assert [candidate.baseline for candidate in done] == ["plain", "resnet", "resnet20", None, None]
    assert made.finished == 2
    trials = trials_of(made)
    assert [recorded(trial).get("baseline") for trial in trials] == ["plain", "resnet", "resnet20", None, None]
    assert trials[1].params == {f"block{number:02}.skip": "add" for number in range(1, 5)}
    assert trials[2].params == {}  # not a point of the space
    assert Topology.from_dict(recorded(trials[2])["topology"]) == made.space.baselines()["resnet20"]


def test_baselines_are_queued_once(session: Make) -> None:
    space = scripted.space(baselines=["plain", "resnet"])
    drive(session(space), 1)
    again = session(resume=True)
    assert [candidate.baseline for candidate in drive(again, 2)] == ["resnet", None]


def test_two_names_of_one_topology_are_one_trial(session: Make) -> None:
    space = scripted.space(baselines=["densenet", "resnet"]).to_dict()
    space["skips"] = {"kinds": ["none", "add"]}
    space["network"]["stages"][0]["skips"] = {"kinds": ["add"]}
    made = session(SearchSpace.from_dict(space))
    assert [candidate.baseline for candidate in drive(made, 1)] == ["densenet = resnet"]


def test_baselines_of_the_call(session: Make) -> None:
    """They come after those of the space, and one that the study holds is not enqueued under another name."""
    space = scripted.space(baselines=["plain"])
    wide = references.resnet(20, input=space.task.input, outputs=space.task.outputs)
    first = session(space, baselines={"mine": wide})
    assert [candidate.baseline for candidate in drive(first, 1)] == ["plain"]
    again = session(resume=True, baselines={"again": wide, "also plain": space.baselines()["plain"]})
    assert [candidate.baseline for candidate in drive(again, 2)] == ["mine", None]


# --------------------------------------------------------------------------------------------- a search that is resumed


def test_running_trials_are_asked_for_again_with_the_same_parameters(session: Make) -> None:
    first = session(scripted.space(baselines=["plain"]), trials=8)
    drive(first, 3)
    lost = [first.ask(), first.ask()]
    first.close()
    assert Counter(trial.state.name for trial in trials_of(first)) == {"COMPLETE": 3, "WAITING": 2}
    again = session(resume=True, trials=8)
    assert again.finished == 2
    found = [again.ask(), again.ask()]
    for before, after in zip(lost, found, strict=True):
        assert before is not None and after is not None
        assert (after.number, after.topology, after.seed) == (before.number, before.topology, before.seed)
        again.tell(after, trained(after))
    drive(again, 4)
    trials = trials_of(again)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 9
    assert len({recorded(trial)["key"] for trial in trials}) == 9
    assert all(trial.params for trial in trials)


def test_a_killed_search_leaves_running_trials_that_wait_again(session: Make) -> None:
    """SIGKILL leaves trials that are RUNNING although no process runs them."""
    first = session(trials=6)
    drive(first, 2)
    lost = first.ask()
    assert lost is not None
    states = {trial.number: trial.state.name for trial in trials_of(first)}
    assert states == {0: "COMPLETE", 1: "COMPLETE", 2: "RUNNING"}
    again = Session(Run.open("run", first.run.path.parent), scripted.price, 6)
    candidate = again.ask()
    assert candidate is not None
    assert (candidate.number, candidate.topology) == (2, lost.topology)
    again.tell(candidate, trained(candidate))
    again.close()
    first.running.clear()


def test_a_resumed_search_may_be_longer(session: Make) -> None:
    drive(session(trials=4))
    assert len(drive(session(resume=True, trials=4))) == 0
    assert len(drive(session(resume=True, trials=7))) == 3


def test_a_person_may_enqueue(session: Make) -> None:
    made = session(trials=6)
    drive(made, 1)
    other = Run.open("run", made.run.path.parent).study  # a notebook, a dashboard
    known = trials_of(made)[0].params
    wanted = {f"block{number:02}.skip": "concat" for number in range(1, 5)}
    other.enqueue_trial(wanted)
    other.enqueue_trial(known)
    other.enqueue_trial({"block01.skip": "sideways"})
    other.add_trial(create_trial(state=TrialState.WAITING))
    other.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"topology": {"blocks": "no"}}))
    made.waiting.last_poll = -math.inf
    drive(made)
    trials = {trial.number: trial for trial in trials_of(made)}
    [mine] = [trial for trial in trials.values() if trial.params == wanted]
    assert mine.state == TrialState.COMPLETE
    assert recorded(mine)["topology"]["blocks"][0]["skip"]["kind"] == "concat"
    reasons = sorted(recorded(t)["reason"].split(":")[0] for t in trials.values() if t.state == TrialState.FAIL)
    assert reasons == ["error", "error", "error", "known"]
    assert made.finished == 6
    assert not [trial for trial in trials.values() if not trial.state.is_finished()]
