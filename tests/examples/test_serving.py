"""The service of the example, in this process."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

import sdebnn
from sdebnn.data import Dataset
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training import start_run

testclient = pytest.importorskip("starlette.testclient")
pd = pytest.importorskip("pandas")

SCRIPT = Path(__file__).parents[2] / "examples" / "serving.py"
ROWS = np.random.default_rng(0).normal(size=(40, 2))
CONFIG = TrainConfig(epochs=2, batch_size=8, width=4, steps=2, augment=1, drift_widths=(2,), test_samples=3)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("serving", SCRIPT)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=["kind", "price"])
def served(request, example, tmp_path_factory):
    """A posterior of labels and one of a target, each with its service."""
    frame = pd.DataFrame({"width": ROWS[:, 0], "place": np.where(ROWS[:, 1] > 0, "north", "south")})
    frame["kind"] = np.where(ROWS[:, 0] > 0, "large", "small")
    frame["price"] = 1e5 + 1e3 * ROWS[:, 0]
    other = {"kind": "price", "price": "kind"}[request.param]
    folder = tmp_path_factory.mktemp("served") / "run"
    with jax.numpy_dtype_promotion("standard"):
        start_run(build_learner, CONFIG, folder, dataset=Dataset.from_frame(frame.drop(columns=other), request.param))
        posterior = sdebnn.load(folder)
        yield posterior, testclient.TestClient(example.make_app(posterior))


def test_rows_are_predicted_by_place_and_by_name(served) -> None:
    posterior, client = served
    by_place = client.post("/predict", json={"rows": [[0.5, "north"], [-0.5, "south"]]})
    assert by_place.status_code == 200
    by_name = client.post(
        "/predict", json={"rows": [{"place": "north", "width": 0.5}, {"place": "south", "width": -0.5}]}
    )
    assert by_name.json() == by_place.json()
    said = posterior.predict(pd.DataFrame({"width": [0.5, -0.5], "place": ["north", "south"]}))
    for name, column in said.columns().items():
        np.testing.assert_array_equal(by_place.json()[name], column)
    if "mean" in by_place.json():
        np.testing.assert_array_equal(by_place.json()["high_95"], said.interval(0.95)[1][:, 0])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "Expecting"),
        (b"[]", '{"rows": [...]}'),
        (b'{"rows": []}', "1 to 10000 rows"),
        (b'{"rows": [[1.0]]}', "training had 2"),
        (b'{"rows": [{"wide": 1.0, "place": "north"}]}', "no column 'width'"),
        (b'{"rows": [["wide", "north"]]}', "width"),
        (b'{"rows": [{"width": 1.0, "place": "north"}, {"place": "north"}]}', "all objects with the same names"),
        (b'{"rows": [{"width": 1.0, "place": "north"}, [1.0, "north"]]}', "all lists, or all objects"),
        (b'{"rows": [[1.0, "north"], [1.0]]}', "objects"),
        (b'{"rows": [1.0, 2.0]}', "training had 2"),
    ],
)
def test_what_is_no_row_is_a_sentence(served, body: bytes, says: str) -> None:
    answer = served[1].post("/predict", content=body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_it_says_that_it_is_there(served) -> None:
    assert served[1].get("/health").json() == {"run": "sdebnn"}
