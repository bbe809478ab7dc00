"""That each picture shows the numbers that it was given."""

import math
from typing import Any

import numpy as np
import pytest

from sdebnn import metrics, plots

pytest.importorskip("matplotlib")


def test_reliability_bars_are_the_groups_and_the_title_has_the_ece() -> None:
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(2), size=100), rng.integers(2, size=100)
    few = (labels[:7], probs[:7])
    figure = plots.draw_reliability_diagram({"few": few, "many": (labels, probs)}).figure
    groups = metrics.reliability_bins(labels, probs, bins=15)
    filled = groups.counts > 0
    _, _, top, _, bottom = figure.axes
    accuracy, gap = top.containers
    np.testing.assert_allclose([bar.get_height() for bar in accuracy], groups.accuracy[filled])
    np.testing.assert_allclose([bar.get_y() + bar.get_height() for bar in gap], groups.confidence[filled])
    np.testing.assert_allclose([bar.get_height() for bar in bottom.containers[0]], groups.counts[filled])
    assert bottom.get_ylim()[1] > groups.counts.max()
    ece = metrics.expected_calibration_error(labels, probs)
    assert top.get_title() == f"many: ECE × 100 = {100 * ece:.2f}"


def test_risk_and_coverage_are_those_of_the_model_in_per_cent() -> None:
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(3), size=50), rng.integers(3, size=50)
    ax = plots.draw_risk_coverage({"other": (labels[:9], probs[:9]), "mine": (labels, probs)})
    curve = metrics.risk_coverage_curve(labels, probs)
    panel = ax.figure.axes[1]
    np.testing.assert_allclose(np.asarray(panel.lines[1].get_xydata()), 100 * np.stack(curve, axis=1))
    area = 100 * metrics.risk_coverage_area(labels, probs)
    assert panel.figure.legends[0].get_texts()[1].get_text() == f"mine: AURC × 100 = {area:.2f}"


def test_training_curves_show_train_and_test_in_per_cent_and_leave_gaps() -> None:
    records = [
        {"step": 10, "split": "train", "accuracy": 0.5},
        {"step": 20, "split": "train", "accuracy": math.nan},
        {"step": 20, "split": "test", "accuracy": 0.75, "ece": 0.1},
    ]
    _, axis = plots.draw_training_curves(records).figure.axes
    raw, mean, test = axis.lines
    np.testing.assert_array_equal(raw.get_xydata(), [[10, 50], [20, np.nan]])
    np.testing.assert_array_equal(mean.get_xydata(), raw.get_xydata())
    np.testing.assert_array_equal(test.get_xydata(), [[20, 75]])
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["train", "test"]


def test_the_running_mean_of_a_straight_line_is_that_line_inside() -> None:
    records = [{"step": step, "split": "train", "loss": 2.0 * step} for step in range(100)]
    _, axis = plots.draw_training_curves(records).figure.axes
    _, mean = axis.lines
    np.testing.assert_allclose(np.asarray(mean.get_ydata())[2:-2], 2.0 * np.arange(2, 98))
    assert mean.get_ydata()[0] == 2.0  # Of steps 0, 1 and 2.


def test_weight_paths_show_every_sample_and_the_priors_band() -> None:
    times, paths = np.linspace(0, 1, 5), np.random.default_rng(0).normal(size=(3, 5, 2))
    prior = (np.full((5, 2), 0.5), np.full((5, 2), 2.0))
    _, first, second = plots.draw_weight_paths(times, paths, prior=prior).figure.axes
    np.testing.assert_allclose(np.stack([np.asarray(line.get_ydata()) for line in second.lines]), paths[:, :, 1])
    np.testing.assert_allclose(np.asarray(second.lines[0].get_xdata()), times)
    low, high = first.collections[0].get_paths()[0].vertices[:, 1].min(), 0.5 + 1.96 * 2
    assert low == pytest.approx(0.5 - 1.96 * 2)
    assert first.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(high)


def test_the_entropy_title_has_the_auroc_and_each_group_sums_to_100() -> None:
    familiar, strange = np.array([0.0, 0.1, 0.3]), np.array([0.2, 2.3, 1.0, 2.0])
    axis = plots.draw_predictive_entropy(familiar, {"noise": strange})
    assert axis.get_title() == f"Entropy of predictions, AUROC: noise {metrics.auroc(familiar, strange):.3f}"
    for patch in axis.patches:
        x, y = patch.get_xy().T
        area = 0.5 * abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) + x[-1] * y[0] - x[0] * y[-1])
        assert area / (2.3 / 40) == pytest.approx(100) or not patch.get_fill()


def heights_at_two(band: Any) -> list[float]:
    """Those of a band's outline where x is 2."""
    return [y for x, y in np.asarray(band.get_paths()[0].vertices) if x == 2.0]


def test_predictive_bands_are_percentiles_in_the_order_of_x() -> None:
    x = np.array([2.0, 0.0, 1.0])
    samples = np.arange(101.0)[:, None] * np.array([3.0, 1.0, 2.0])
    axis = plots.draw_predictive_bands(x, samples, x, x)
    at_two = [heights_at_two(band) for band in axis.collections[:2]]
    assert (min(at_two[0]), max(at_two[0])) == pytest.approx((15.0, 285.0))
    assert (min(at_two[1]), max(at_two[1])) == pytest.approx((75.0, 225.0))
    np.testing.assert_allclose(np.asarray(axis.lines[-1].get_xydata()), [[0, 50], [1, 100], [2, 150]])


def test_predictive_percentiles_are_nested_bands_of_each_panel_in_the_order_of_x() -> None:
    x = np.array([2.0, 0.0, 1.0])
    samples = np.arange(101.0)[:, None] * np.array([3.0, 1.0, 2.0])
    data = np.array([0.0, 300.0])
    figure = plots.draw_predictive_percentiles(x, {"prior": 2 * samples, "posterior": samples}, data, data).figure
    _, prior, posterior = figure.axes
    assert [prior.get_title(), posterior.get_title()] == ["prior", "posterior"]
    for axis, factor in ((prior, 2.0), (posterior, 1.0)):
        *bands, points = axis.collections
        at_two = [heights_at_two(band) for band in bands]
        middle = np.array([(min(ys) + max(ys)) / 2 for ys in at_two])
        np.testing.assert_allclose(middle, factor * 150)
        width = [max(ys) - min(ys) for ys in at_two]
        np.testing.assert_allclose(width, factor * 3 * np.array([95, 80, 65, 50, 35, 20, 5]))
        np.testing.assert_allclose(
            np.asarray(axis.lines[-1].get_xydata()), factor * np.array([[0, 4], [1, 8], [2, 12]]) / [factor, 1]
        )
        np.testing.assert_allclose(np.asarray(points.get_offsets()), np.stack([data, data], 1))
        assert axis.get_ylim() == (-300, 600)


def test_interval_calibration_shows_the_curve_and_the_histogram_of_the_transform() -> None:
    pit = np.concatenate([np.full(30, 0.5), np.full(10, 0.01)])
    _, top, bottom = plots.draw_interval_calibration({"mine": pit}).figure.axes
    assert top.get_title() == "mine: 95 % intervals hold 75.0 %"
    np.testing.assert_allclose(np.asarray(top.lines[1].get_xydata()).T, metrics.coverage_curve(pit))
    heights = [bar.get_height() for bar in bottom.containers[0]]
    np.testing.assert_allclose(np.array(heights)[[0, 10]], [20 * 10 / 40, 20 * 30 / 40])
    assert sum(heights) == pytest.approx(20)


def test_intervals_are_in_the_order_of_the_predictions_and_targets_beyond_them_are_told() -> None:
    mean = np.array([3.0, 1.0, 2.0])
    y = mean + np.array([0.0, 2.0, -0.5])
    _, panel = plots.draw_predictive_intervals(y, mean, mean - 1, mean + 1).figure.axes
    bars, within, beyond = panel.collections
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], [[0, 2], [1, 3], [2, 4]])
    np.testing.assert_allclose(np.asarray(panel.lines[0].get_ydata()), [1, 2, 3])
    np.testing.assert_allclose(np.asarray(within.get_offsets()), [[50.0, 1.5], [100.0, 3.0]])
    np.testing.assert_allclose(np.asarray(beyond.get_offsets()), [[0, 3]])
    assert panel.get_title() == "66.7 % of 3 targets lie in their interval"


def test_of_many_intervals_some_are_drawn_from_the_smallest_to_the_largest_prediction() -> None:
    y = np.random.default_rng(0).normal(size=(1000, 1))
    _, panel = plots.draw_predictive_intervals(y, y, y - 1, y + 1).figure.axes
    drawn = np.asarray(panel.lines[0].get_ydata())
    assert len(drawn) == 150
    assert (drawn[0], drawn[-1]) == (y.min(), y.max())
    assert "of 1000 targets" in panel.get_title()
