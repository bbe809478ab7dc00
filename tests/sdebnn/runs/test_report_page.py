"""The page of a run: that it says what is in the folder, whatever that is, and that a browser shows it."""

import argparse
import base64
import dataclasses
import html
import math
import os
import re
import shutil
import xml.etree.ElementTree
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdebnn.cli.flags import add_choices, choices_given
from sdebnn.cli.train import _choices_in, config_of
from sdebnn.errors import InputError
from sdebnn.runs import MetricsLog, RunFolder, TrainConfig, checkpoint, strict_json
from sdebnn.runs.curves import curves
from sdebnn.runs.report_page import reproduction, write_report


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 0, 0, 0, 0])
    rows = zlib.compress((b"\0" + bytes(width)) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of 100 steps, as training leaves it."""
    run = RunFolder.create(tmp_path / "run")
    run.write_config(TrainConfig.for_data("digits", seed=7, blocks=(2, 2), sigma=0.3).to_json())
    with MetricsLog(run) as log:
        for step in range(10, 101, 10):
            log.write(step, {"loss": 1 / step, "nll": 0.5 / step, "kl": 3.0, "accuracy": step / 101}, split="train")
        log.write(50, {"accuracy": 0.5, "nll": 0.7}, split="validation")
        log.write(100, {"accuracy": 0.9625, "nll": 0.1234, "ece": 0.0117}, split="test")
    checkpoint.save(run.checkpoints, "step-00000100", {"w": np.zeros(2, np.float32)}, {"step": 100, "seconds": 61.7})
    (run.pictures / "reliability.png").write_bytes(png(60, 60))
    (run.pictures / "weight_paths.png").write_bytes(png(120, 40))
    (run.pictures / "training_curves.png").write_bytes(png(50, 50))
    return run


def written(run: RunFolder) -> str:
    write_report(run)
    return run.report.read_text("utf-8")


def test_it_says_what_was_run_and_what_came_of_it(run: RunFolder) -> None:
    page = written(run)
    for part in (
        "sdebnn on digits",
        "62 s",
        "0.9625",
        "0.1234",
        "0.0117",
        "validation, step 50",
        f"numpy {np.__version__}",
    ):
        assert part in page
    assert page.count("<svg") == 4
    images = [base64.b64decode(found) for found in re.findall(r'src="data:image/png;base64,([^"]*)"', page)]
    assert images == [png(60, 60), png(120, 40)]
    assert page.count('<figure class="across">') == 1
    changed = re.findall(r'<tr class="changed"><th scope="row">(\w+)</th>', page)
    assert changed == ["seed", "sigma", "blocks"]
    assert page.count('<th scope="row">') == len(dataclasses.fields(TrainConfig)) + 2
    assert not [name for name in os.listdir(run.path) if "report" in name and name != "report.html"]


def test_scores_are_those_of_the_parameters_that_make_predictions(run: RunFolder) -> None:
    with MetricsLog(run) as log:
        log.write(90, {"nll": 9.75}, split="validation")
    checkpoint.save(run.checkpoints, "best-00000050", {"w": np.zeros(2, np.float32)}, {"step": 50, "nll": 0.7})
    page = written(run)
    assert "test, parameters of step 50" in page
    assert "validation, parameters of step 50" in page
    assert "<td>0.7</td>" in page
    assert "<td>9.75</td>" not in page


def test_a_model_without_pictures_of_its_own_needs_no_library(run: RunFolder) -> None:
    for name in ("reliability", "weight_paths"):
        (run.pictures / f"{name}.png").unlink()
    assert "nothing to draw for this model" in written(run)


def test_it_needs_nothing_from_elsewhere(run: RunFolder) -> None:
    page = written(run)
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page


@pytest.mark.parametrize("removed", ["pictures", "checkpoints", "metrics.jsonl"])
def test_a_part_that_is_not_there_is_left_out(run: RunFolder, removed: str) -> None:
    path = run.path / removed
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = written(run)
    assert ("pip install 'sdebnn[plots]'" in page) == (removed == "pictures")
    assert ("62 s" in page) == (removed != "checkpoints")
    assert ("Nothing was logged" in page) == (removed == "metrics.jsonl")
    assert ("not been scored" in page) == (removed == "metrics.jsonl")


def test_what_it_shows_is_text_whatever_it_holds(run: RunFolder) -> None:
    name = "<img src=x onerror=alert(1)>&'\"$title{{ title }}{% raw %}.npz"
    strict_json.write(run.config_file, TrainConfig.for_data(f"/{name}").to_json())
    with MetricsLog(run) as log:
        log.write(110, {"<b>x</b>": 1.0, "nll": math.nan, "accuracy": math.inf}, split="test")
    page = written(run)
    assert "<img src=x" not in page
    shown = re.findall(r"<(title|h1)>(.*?)</\1>", page)
    assert [(tag, html.unescape(text)) for tag, text in shown] == [
        (tag, f"sdebnn on /{name}") for tag in ("title", "h1")
    ]
    assert all(text.count("<") == 0 for _, text in shown)
    assert "<b>x</b>" not in page
    assert "<td>nan</td>" in page
    assert "nan," not in page


@pytest.mark.parametrize("time", ['"time": 1e300, ', '"time": "nan", ', ""])
def test_a_log_without_a_time_that_can_be_read_has_none_on_the_page(run: RunFolder, time: str) -> None:
    assert "Ended" in written(run)
    with run.metrics_file.open("a") as file:
        file.write(f'{{"step": 110, {time}"split": "test", "nll": 1.0}}\n')
    assert "Ended" not in written(run)


def test_a_file_that_cannot_be_read_is_refused_and_the_last_page_stays(run: RunFolder) -> None:
    page = written(run)
    run.metrics_file.write_text("{]\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl"):
        write_report(run)
    assert run.report.read_text() == page


@pytest.mark.parametrize(
    "choices",
    [
        {"data": "digits"},
        {"data": "mnist", "blocks": (2, 3, 2), "drift_widths": (8,), "test_method": "midpoint", "seed": 3},
        {"data": "/with a space/it's $HOME.npz", "ou_centre": "zero", "kl_coef": 1e-05, "validation": 0.1},
        {"data": "cifar10", "framework": "torch", "method": "midpoint", "sigma": 0.1 + 0.2, "rtol": 1e-3},
        # A model's own default is another than that of all.
        {"data": "digits", "model": "ivon_odenet", "learning_rate": TrainConfig.learning_rate},
    ],
)
def test_the_command_it_gives_makes_the_same_configuration(choices: dict[str, Any]) -> None:
    config = TrainConfig.for_data(**choices)
    parser = argparse.ArgumentParser()
    add_choices(parser)
    found = choices_given(parser.parse_args(reproduction(config)))
    assert TrainConfig.for_data(found.pop("data"), **found) == config


@pytest.mark.parametrize("choices", [{}, {"model": "odenet"}, {"model": "ivon_odenet", "learning_rate": 0.01}])
def test_the_command_of_a_table_has_what_tables_have_other_defaults_for(
    tmp_path: Path, choices: dict[str, Any]
) -> None:
    # The step size is the default of all but tables.
    config = TrainConfig.for_table(data="uci/yacht:3", **{"learning_rate": TrainConfig.learning_rate} | choices)
    run = RunFolder.create(tmp_path / "run")
    run.write_config(config.to_json())
    assert f"sdebnn train --config {run.config_file} --output AGAIN" in written(run)
    assert config_of(_choices_in(run.config_file)) == config


def test_curves_pass_through_their_points() -> None:
    ends = {"train": [(0, 0.0), (50, math.nan), (100, 10.0)], "test": [(100, 5.0)], "validation": []}
    figure = xml.etree.ElementTree.fromstring(curves("Loss & <more>", ends))
    lines = figure.findall(".//polyline")
    (left, low), (right, high) = (map(float, point.split(",")) for point in lines[0].get("points", "").split())
    # Values go up, steps to the right, and the single point of the other line is half way.
    assert left < right
    assert low > high
    circle = figure.find(".//circle")
    assert circle is not None
    assert float(circle.get("cx", "nan")) == right
    assert abs(float(circle.get("cy", "nan")) - (low + high) / 2) < 0.11
    assert [key.text for key in figure.findall(".//span")] == ["train", "test"]
    assert curves("Loss", {"train": [(1, math.inf)]}) == ""
    long = curves("Loss", {"train": [(step, 1.0) for step in range(100_000)]})
    assert len(long) < 20_000


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="a browser is driven by selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("a browser is needed: Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    quiet = "gpu quic background-networking component-update sync dev-shm-usage"
    for flag in ("headless", "no-sandbox", "no-first-run", *(f"disable-{name}" for name in quiet.split())):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield found
    finally:
        found.quit()


def faults(browser: Any, page: Path) -> list[str]:
    """What is wrong with a page as a browser shows it, on a telephone and on a desk."""
    found = []
    for width in (400, 1200):
        browser.set_window_size(width, 900)
        browser.get(page.as_uri())
        found += [entry["message"] for entry in browser.get_log("browser")]
        broken = "return [...document.images].filter(image => !(image.complete && image.naturalWidth)).length"
        if number := browser.execute_script(broken):
            found.append(f"{number} images are not shown")
        root = "document.documentElement."
        if browser.execute_script(f"return {root}scrollWidth > {root}clientWidth"):
            found.append(f"wider than {width} pixels")
    return found


def test_a_browser_shows_every_part_without_an_error(run: RunFolder, browser: Any) -> None:
    write_report(run)
    assert faults(browser, run.report) == []
    assert browser.title == "sdebnn on digits"
    for part in ("scores", "curves", "pictures", "commands", "choices"):
        assert browser.find_element("id", part).is_displayed()
    assert len(browser.find_elements("css selector", "figure img")) == 2
    for line in browser.find_elements("css selector", "polyline"):
        assert line.rect["width"] > 100
    choices = browser.find_element("css selector", ".choices")
    assert not choices.is_displayed()
    browser.find_element("css selector", "summary").click()
    assert choices.is_displayed()
    assert "--sigma=0.3" in browser.find_element("css selector", "pre").text


@pytest.mark.parametrize(
    ("spoilt", "fault"),
    [
        ("<main>", "<main><img src='data:image/png;base64,AAAA'>"),
        ("<main>", "<main><img src='elsewhere.png'>"),
        ("<main>", "<main><script>alert(1)</script>"),
        ("<main>", "<main><div style='width: 1300px'>wide</div>"),
    ],
)
def test_the_browser_catches_what_is_wrong(run: RunFolder, browser: Any, spoilt: str, fault: str) -> None:
    page = written(run)
    assert spoilt in page
    run.report.write_text(page.replace(spoilt, fault, 1))
    assert faults(browser, run.report) != []


def test_a_link_among_the_pictures_does_not_bring_its_file_into_the_page(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(png(3, 3))
    (run.pictures / "decoy.png").symlink_to(tmp_path / "secret")
    write_report(run)
    assert "Decoy" not in run.report.read_text()
