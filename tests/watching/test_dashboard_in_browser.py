"""The dashboard of all runs in a browser: both studies are listed, and one opens."""

from __future__ import annotations

import threading
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from nas.watching import Board, bind, serve
from tests.helpers.browser import browser, complaints, needs_browser
from tests.watching.conftest import MakeRun


@needs_browser
def test_both_runs_are_listed_and_one_opens(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("first", 0.5, 0.6)
    make_run("second", 0.7, 0.8)
    board, server = Board.of_all(print, root=tmp_path / "runs"), bind(port=0)
    thread = threading.Thread(target=serve, args=(server, board.app, print))
    thread.start()
    try:
        with browser() as driver:
            driver.get(server.url + board.path)
            wait = WebDriverWait(driver, 20)
            wait.until(lambda _: {"first", "second"} <= set(shown(driver).split()))
            driver.find_element(By.PARTIAL_LINK_TEXT, "second").click()
            wait.until(lambda _: "/dashboard/studies/" in driver.current_url)
            identifier = board.storage.get_study_id_from_name("second")
            assert driver.current_url.split("/studies/")[1].split("/")[0] == str(identifier)
            wait.until(lambda _: "Best" in shown(driver) and "second" in shown(driver))
            driver.get(f"{server.url}/dashboard/studies/{identifier}/trials")
            wait.until(lambda _: "Trial 2" in shown(driver))
            assert complaints(driver) == []
    finally:
        server.shutdown()
        thread.join()


def shown(driver: object) -> str:
    return str(driver.find_element(By.TAG_NAME, "body").text)  # type: ignore[attr-defined]
