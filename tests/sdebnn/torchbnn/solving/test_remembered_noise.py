import torch

from sdebnn.torchbnn.solving.remembered_noise import remembered


def test_an_increment_is_drawn_once_and_every_stretch_of_depth_has_its_own() -> None:
    rng, draws = torch.Generator().manual_seed(0), []

    def noise(ta, tb):
        draws.append((float(ta), float(tb)))
        return torch.randn(3, generator=rng)

    known = remembered(noise)
    depths = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    first = known(depths[0], depths[1])
    assert known(0.0, 0.5) is first
    assert not torch.equal(known(depths[1], depths[2]), first)
    assert draws == [(0.0, 0.5), (0.5, 1.0)]
