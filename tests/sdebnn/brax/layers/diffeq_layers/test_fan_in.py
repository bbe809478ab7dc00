import jax
from jax.example_libraries import stax

from sdebnn.brax import diffeq_layers
from sdebnn.brax.diffeq_layers import fan_in


def test_weights_count_their_inputs_and_biases_follow_their_layer():
    init, _ = stax.serial(
        stax.Conv(8, (3, 3)), diffeq_layers.Swish(), diffeq_layers.conv("concat_squash", 4), stax.Flatten, stax.Dense(2)
    )
    _, params = init(jax.random.key(0), (-1, 6, 6, 5))
    assert fan_in(params) == [
        (45.0, 45.0),
        {"beta": 1.0},
        {"weight": 72.0, "bias": 72.0, "gate": 1.0, "gate_bias": 72.0, "shift": 1.0},
        (),
        (64.0, 64.0),
    ]


def test_a_layer_of_one_input():
    _, params = stax.Dense(3)[0](jax.random.key(0), (-1, 1))
    assert fan_in(params) == (1.0, 1.0)
