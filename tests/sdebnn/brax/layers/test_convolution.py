import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sdebnn.brax.layers.convolution import conv2d, conv2d_shape, conv2d_transpose, conv2d_transpose_shape
from sdebnn.errors import InputError

FORM = ("NHWC", "HWIO", "NHWC")
CASES = [
    # image, kernel, channels in and out
    ((7, 6), (1, 1), (3, 4)),
    ((7, 6), (3, 3), (3, 4)),
    ((8, 8), (3, 3), (1, 1)),
    ((5, 9), (5, 5), (2, 1)),
    ((8, 5), (2, 2), (3, 2)),
    ((6, 8), (4, 3), (1, 3)),
    # Few outputs for so many pixels.
    ((16, 15), (3, 4), (5, 2)),
]


def images_and_kernel(image, kernel, channels, dtype, images=2):
    key_x, key_k = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (images, *image, channels[0]), dtype)
    return x, jax.random.normal(key_k, (*kernel, *channels), dtype)


def reference(transpose, stride, padding):
    if transpose:
        return lambda x, k: lax.conv_transpose(x, k, (stride, stride), padding, dimension_numbers=FORM)
    return lambda x, k: lax.conv_general_dilated(x, k, (stride, stride), padding, dimension_numbers=FORM)


def value_and_gradients(f, x, k):
    @jax.jit
    def both(x, k):
        y, vjp = jax.vjp(f, x, k)
        return y, *vjp(jnp.cos(y))

    return both(x, k)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(("image", "kernel", "channels"), CASES)
def test_equals_lax_with_both_gradients_to_rounding(x64, transpose, image, kernel, channels):
    x, k = images_and_kernel(image, kernel, channels, jnp.float64)
    ours, shape = (conv2d_transpose, conv2d_transpose_shape) if transpose else (conv2d, conv2d_shape)
    for stride, padding in ((1, "SAME"), (2, "SAME"), (2, "VALID"), (3, "VALID")):
        got = value_and_gradients(lambda x, k: ours(x, k, stride=stride, padding=padding), x, k)  # noqa: B023
        want = value_and_gradients(reference(transpose, stride, padding), x, k)
        assert got[0].shape == shape(x.shape, k.shape, stride=stride, padding=padding)
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, rtol=0, atol=1e-10, err_msg=f"stride {stride}, {padding}")


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("images", [0, 1, 8, 11, 20])
def test_gradients_that_are_summed_over_few_images_at_a_time_are_those_of_all(x64, transpose, images):
    x, k = images_and_kernel((5, 6), (3, 3), (2, 3), jnp.float64, images)
    ours = conv2d_transpose if transpose else conv2d
    got = value_and_gradients(lambda x, k: ours(x, k, stride=2), x, k)
    for g, w in zip(got, value_and_gradients(reference(transpose, 2, "SAME"), x, k), strict=True):
        np.testing.assert_allclose(g, w, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 2e-2)])
def test_smaller_dtypes_are_kept_and_right_to_their_rounding(dtype, tolerance):
    x, k = images_and_kernel((8, 8), (3, 3), (8, 8), jnp.float32, images=32)
    x, k = x.astype(dtype), k.astype(dtype)
    got = value_and_gradients(conv2d, x, k)
    want = value_and_gradients(reference(False, 1, "SAME"), x.astype(jnp.float32), k.astype(jnp.float32))
    for g, w in zip(got, want, strict=True):
        assert g.dtype == dtype
        np.testing.assert_allclose(g.astype(jnp.float32), w, rtol=0, atol=tolerance * float(jnp.abs(w).max()))


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("stride", [1, 2])
def test_vmap_over_images_kernels_or_both(x64, axes, stride):
    x, k = images_and_kernel((6, 6), (3, 3), (2, 3), jnp.float64)
    xs = jnp.stack([x, 2 * x + 1, -x]) if axes[0] == 0 else x
    ks = jnp.stack([k, 2 * k + 1, -k]) if axes[1] == 0 else k

    def f(x, k):
        return value_and_gradients(lambda x, k: conv2d(x, k, stride=stride), x, k)

    def r(x, k):
        return value_and_gradients(reference(False, stride, "SAME"), x, k)

    for g, w in zip(jax.jit(jax.vmap(f, axes))(xs, ks), jax.vmap(r, axes)(xs, ks), strict=True):
        np.testing.assert_allclose(g, w, rtol=0, atol=1e-10)


def test_nested_vmap(x64):
    x, k = images_and_kernel((4, 4), (3, 3), (2, 2), jnp.float64)
    xs = jnp.stack([jnp.stack([x, 2 * x]), jnp.stack([-x, x + 1]), jnp.stack([x, x])])
    ks = jnp.stack([k, -k, 3 * k])

    def over(f):
        return jax.vmap(jax.vmap(f, (0, None)))(xs, ks)

    np.testing.assert_allclose(over(conv2d), over(reference(False, 1, "SAME")), rtol=0, atol=1e-10)


@pytest.mark.parametrize("transpose", [False, True])
def test_gradient_through_a_loop(x64, transpose):
    x, k = images_and_kernel((6, 6), (3, 3), (2, 2), jnp.float64)

    def loss(f):
        return lambda x, k: jnp.sum(lax.scan(lambda x, _: (jnp.tanh(f(x, k)), None), x, None, length=3)[0] ** 2)

    ours = conv2d_transpose if transpose else conv2d
    got = jax.jit(jax.grad(loss(ours), (0, 1)))(x, k)
    want = jax.grad(loss(reference(transpose, 1, "SAME")), (0, 1))(x, k)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=0, atol=1e-10)


def test_second_derivative(x64):
    x, k = images_and_kernel((5, 5), (3, 3), (2, 2), jnp.float64)

    def penalty(f):
        return lambda k: jnp.sum(jax.grad(lambda x: jnp.sum(jnp.sin(f(x, k))))(x) ** 2)

    got, want = jax.grad(penalty(conv2d))(k), jax.grad(penalty(reference(False, 1, "SAME")))(k)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("ours", "stride"), [(conv2d, 1), (conv2d, 2), (conv2d_transpose, 2)])
def test_on_the_cpu_every_convolution_of_a_gradient_has_the_form_that_is_fast_in_loops(ours, stride):
    x, k = images_and_kernel((8, 8), (3, 3), (2, 3), jnp.float32)

    def loss(x, k):
        return jnp.sum(ours(x, k, stride=stride) ** 2)

    text = jax.jit(jax.grad(loss, (0, 1))).lower(x, k).as_text()
    forms = re.findall(r"dim_numbers = (.*?), window", text)
    assert forms == ["[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"] * 3


def test_one_program_holds_for_cpu_and_gpu():
    x, k = images_and_kernel((8, 8), (3, 3), (2, 3), jnp.float32)
    gradient = jax.jit(jax.grad(lambda k: jnp.sum(conv2d(x, k) ** 2)))
    assert gradient.trace(k).lower(lowering_platforms=("cuda",)).as_text() != gradient.lower(k).as_text()


@pytest.mark.parametrize(
    ("x", "kernel", "options", "words"),
    [
        ((8, 8, 1), (3, 3, 1, 1), {}, "takes images"),
        ((1, 8, 8, 1), (3, 3, 1), {}, "takes images"),
        ((1, 8, 8, 2), (3, 3, 1, 1), {}, "2 channels"),
        ((1, 8, 8, 1), (0, 3, 1, 1), {}, "positive"),
        ((1, 8, 8, 1), (3, 3, 1, 1), {"stride": 0}, "stride=0"),
        ((1, 8, 8, 1), (3, 3, 1, 1), {"padding": "same"}, "'SAME' or 'VALID'"),
        ((1, 4, 8, 1), (5, 5, 1, 1), {"padding": "VALID"}, "must fit"),
    ],
)
def test_refusals(x, kernel, options, words):
    with pytest.raises(InputError, match=words):
        conv2d_shape(x, kernel, **{"stride": 1, "padding": "SAME", **options})


def test_a_kernel_of_another_dtype_is_refused():
    x, k = images_and_kernel((4, 4), (3, 3), (1, 1), jnp.float32)
    with pytest.raises(InputError, match="bfloat16"):
        conv2d(x, k.astype(jnp.bfloat16))
