import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchsde")
torch.set_num_threads(1)
