"""report.html as a person uses it: the pointer over a point, clicks on points, rows and titles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from nas.analysis.page import page
from nas.analysis.ranking import leaderboard
from tests.analysis.test_page import FACTS
from tests.helpers.analysis_trials import GOALS, frame
from tests.helpers.browser import browser, complaints, needs_browser

pytestmark = needs_browser
BOARD = leaderboard(frame(), goals=GOALS)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(frame(), FACTS), encoding="utf-8")
    with browser() as driver:
        driver.get(path.as_uri())
        yield driver
        assert complaints(driver) == []
        assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0


def chosen(window: Chrome) -> str:
    return window.find_element(By.CSS_SELECTOR, "#chosen h3").text


def wait_until_chosen(window: Chrome, title: str) -> None:
    WebDriverWait(window, 10).until(lambda _: chosen(window) == title)


def titles_of(trial: int) -> str:
    name = BOARD.set_index("trial").loc[trial, "name"]
    return f"trial {trial}" + (f", the baseline {name}" if name else "")


def test_the_best_is_drawn_at_first(window: Chrome) -> None:
    wait_until_chosen(window, titles_of(int(BOARD["trial"].iloc[0])))
    assert window.find_elements(By.CSS_SELECTOR, "#chosen svg.arcs")


def test_a_point_under_the_pointer_is_drawn_and_a_click_keeps_it(window: Chrome) -> None:
    plot = window.find_element(By.ID, "plot-params")
    window.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    traces = window.execute_script("return arguments[0].data.map((trace) => trace.name)", plot)
    number = traces.index("Pareto front")
    trials = window.execute_script(f"return arguments[0].data[{number}].customdata", plot)
    points = plot.find_elements(By.CSS_SELECTOR, f".scatterlayer > .trace:nth-child({number + 1}) .points path")
    assert len(points) == len(trials)
    ActionChains(window).move_to_element(points[-1]).perform()
    wait_until_chosen(window, titles_of(trials[-1]))
    ActionChains(window).click().perform()
    row = WebDriverWait(window, 10).until(lambda _: window.find_element(By.CSS_SELECTOR, "tr.chosen-row"))
    assert row.get_attribute("data-trial") == str(trials[-1])
    ActionChains(window).move_to_element(window.find_element(By.ID, "chosen")).perform()
    assert chosen(window) == titles_of(trials[-1])


def test_a_click_on_a_row_draws_it(window: Chrome) -> None:
    last = int(BOARD["trial"].iloc[len(BOARD) // 2])
    row = window.find_element(By.CSS_SELECTOR, f'tr[data-trial="{last}"]')
    window.execute_script("arguments[0].scrollIntoView({block: 'center'})", row)
    row.click()
    wait_until_chosen(window, titles_of(last))
    accuracy = BOARD.set_index("trial").loc[last, "accuracy"]
    assert f"accuracy {100 * accuracy:.2f}%" in window.find_element(By.CSS_SELECTOR, "#chosen .note").text


def test_a_click_on_a_title_sorts(window: Chrome) -> None:
    button = next(one for one in window.find_elements(By.CSS_SELECTOR, "th button") if one.text.startswith("params"))
    window.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    rows = window.find_elements(By.CSS_SELECTOR, "tr[data-trial]")
    sizes = BOARD.set_index("trial")["params"]
    shown = [int(sizes[int(row.get_attribute("data-trial") or 0)]) for row in rows]
    assert shown == sorted(shown)


def test_nothing_is_wider_than_a_telephone(window: Chrome) -> None:
    window.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    assert window.execute_script("return document.documentElement.scrollWidth") <= 400
    window.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
