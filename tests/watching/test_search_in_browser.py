"""The dashboard of a search that runs, in a browser: names, plots that grow, and a trial with its diagram."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from nas.searching.session import Session
from nas.study import Run
from nas.watching import Board, bind, serve
from nas.watching.publisher import Publisher
from tests.helpers import scripted
from tests.helpers.browser import browser, complaints, needs_browser
from tests.helpers.sessions import drive

PLOTLY = (
    "return [...document.querySelectorAll('.js-plotly-plot')]"
    ".map(one => [one.id.split(':').pop(), one.layout, one.data]).map({})"
)
AXES = "(([id, layout]) => [layout.xaxis, layout.yaxis].map(axis => axis?.title?.text ?? axis?.title))"
POINTS = "(([id, , data]) => [id, data.map(trace => trace.x?.length ?? 0).reduce((a, b) => a + b, 0)])"
WIDTH = "return document.documentElement.scrollWidth"


@contextlib.contextmanager
def served(run: Run) -> Iterator[str]:
    """Serve the dashboard of a run, and yield the address of its study."""
    board, server = Board.of_run(run), bind(port=0)
    thread = threading.Thread(target=serve, args=(server, board.app, print))
    thread.start()
    try:
        yield server.url + board.path
    finally:
        server.shutdown()
        thread.join()


def drawn(driver: Chrome) -> dict[str, int]:
    """Return the plots of the page: the id of each → how many points it has."""
    return dict(driver.execute_script(PLOTLY.format(POINTS)))


@pytest.fixture
def searching(tmp_path: Path) -> Iterator[Session]:
    """A search of which eight trials are finished and one is being trained."""
    space = scripted.space(baselines=["resnet"])
    session = Session(Run.create(space, "mine", tmp_path), scripted.price, 30)
    drive(session, 8)
    running = session.ask()
    assert running is not None
    session.report(running, {"epoch": 1, "accuracy": 0.25})
    session.writer.flush()
    yield session
    session.close()


@needs_browser
def test_a_running_search_is_named_drawn_and_grows(searching: Session) -> None:
    run, publisher = searching.run, Publisher(searching.run)
    publisher.publish()
    with served(run) as address, browser() as driver:
        wait = WebDriverWait(driver, 30)
        driver.get(address)
        wait.until(lambda _: {"best-so-far", "skips-by-block", "curves"} <= drawn(driver).keys())
        titles = json.dumps(driver.execute_script(PLOTLY.format(AXES)))
        assert "accuracy" in titles and "params" in titles and "Objective" not in titles
        before = drawn(driver)
        others = searching.running[:]
        drive(searching, 6)
        assert searching.running == others
        publisher.publish()
        driver.get(address)
        wait.until(lambda _: drawn(driver).get("curves", 0) > before["curves"])
        driver.get(f"{address}/trials?numbers={others[0].number}")
        wait.until(lambda _: "running" in text(driver) and "╰" in text(driver))
        pictures = wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "img[src*='/artifacts/']"))
        wait.until(lambda _: driver.execute_script("return arguments[0].naturalWidth", pictures[0]) > 0)
        assert driver.execute_script(WIDTH) <= 1400
        assert complaints(driver) == []


@needs_browser
def test_fail_trial_ends_a_running_trial(searching: Session) -> None:
    number = searching.running[0].number
    with served(searching.run) as address, browser() as driver:
        wait = WebDriverWait(driver, 30)
        driver.get(f"{address}/trials?numbers={number}")
        button: Any = wait.until(lambda _: driver.find_element(By.XPATH, "//button[contains(., 'Fail Trial')]"))
        button.click()
        wait.until(lambda _: searching.run.trial(number).state == TrialState.FAIL)
    assert searching.run.frame()["reason"][number] == "stopped by a person"


def text(driver: Chrome) -> str:
    return str(driver.find_element(By.TAG_NAME, "body").text)
