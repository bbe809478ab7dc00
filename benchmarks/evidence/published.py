"""What others have published of the same sets, as their tables print it, with networks of other sizes."""

from benchmarks.evidence.models import FIVE, SINGLE

_XU, _CALVO, _IVON = "Xu et al., 2021", "Calvo-Ordoñez et al., 2024", "IVON, 2024"
_VIKING = "VIKING's table, 2025"

Figures = tuple[str, str, str, str]

SCORES: dict[str, dict[str, dict[str, Figures]]] = {
    "mnist": {
        SINGLE: {
            f"ResNet32 ({_XU})": ("99.46", "", "2.88", ""),
            f"ODE network ({_XU})": ("98.90", "", "1.11", ""),
            f"hyper-ODE network ({_XU})": ("99.04", "", "1.04", ""),
            f"mean-field ResNet32 ({_XU})": ("99.44", "", "2.76", ""),
            f"mean-field ODE network ({_XU})": ("98.81", "", "2.63", ""),
            f"mean-field hyper-ODE network ({_XU})": ("98.77", "", "2.82", ""),
            f"SDE-BNN ({_XU})": ("99.30 ± 0.09", "", "0.63 ± 0.10", ""),
            f"SDE-BNN, STL ({_XU})": ("99.10 ± 0.09", "", "0.78 ± 0.12", ""),
            f"partially stochastic SDE-BNN, ODE first 10 % ({_CALVO})": ("99.30", "", "0.62", ""),
            f"partially stochastic SDE-BNN, horizontal cut 50 % ({_CALVO})": ("99.27", "", "0.57", ""),
            "LeNet5, variational": ("98.5", "4.8", "1.0", ""),
            f"LeNet, the highest accuracy of {_VIKING}": ("99.1", "", "", ""),
            f"LeNet, the lowest NLL of {_VIKING}": ("", "4.3", "", ""),
        },
        FIVE: {
            f"HMC, many networks (quoted by {_CALVO})": ("98.31", "", "1.79", ""),
            "LeNet5, ensemble of 10": ("99.4", "1.6", "0.5", ""),
        },
    },
    "fashion_mnist": {
        SINGLE: {
            "LeNet5, variational": ("89.5", "29.2", "1.1", ""),
            f"LeNet, the highest accuracy of {_VIKING}": ("90.0", "", "", ""),
            f"LeNet, the lowest NLL of {_VIKING}": ("", "32.7", "", ""),
            "convolutional network, MAP, beside VBLL": ("93.1", "19.9", "1.04", ""),
        },
        FIVE: {"LeNet5, ensemble of 10": ("93.2", "20.0", "1.0", "")},
    },
    "cifar10": {
        SINGLE: {
            f"ResNet32 ({_XU})": ("87.35", "", "8.47", ""),
            f"ODE network ({_XU})": ("88.30", "", "8.71", ""),
            f"hyper-ODE network ({_XU})": ("87.92", "", "15.86", ""),
            f"mean-field ResNet32 ({_XU})": ("86.97", "", "3.04", ""),
            f"mean-field ODE network ({_XU})": ("81.59", "", "3.62", ""),
            f"mean-field hyper-ODE network ({_XU})": ("80.62", "", "4.29", ""),
            f"SDE-BNN ({_XU})": ("88.98 ± 0.94", "", "7.60 ± 0.37", ""),
            f"SDE-BNN, STL ({_XU})": ("89.10 ± 0.45", "", "7.97 ± 0.51", ""),
            f"partially stochastic SDE-BNN, ODE first 10 % ({_CALVO})": ("87.84", "", "4.73", ""),
            f"partially stochastic SDE-BNN, horizontal cut 50 % ({_CALVO})": ("87.78", "", "4.29", ""),
            f"ResNet32, last-layer Laplace (quoted by {_CALVO})": ("92.10", "", "2.98", ""),
            f"ResNet-20, SGD ({_IVON})": ("91.86", "28.8", "4.0", "12.6"),
            f"ResNet-20, mean field ({_IVON})": ("91.09", "28.9", "5.3", "13.9"),
            f"ResNet-20, last-layer Laplace ({_IVON})": ("91.52", "28.4", "3.3", "12.9"),
            f"ResNet-20, MC dropout ({_IVON})": ("91.85", "24.2", "0.8", "12.0"),
            f"ResNet-20, SWAG ({_IVON})": ("92.45", "23.0", "2.4", "11.2"),
            f"ResNet-20, IVON, 64 samples ({_IVON})": ("92.71", "21.9", "0.8", "10.8"),
        },
        FIVE: {
            f"deep ensemble (quoted by {_CALVO})": ("89.22", "", "2.79", ""),
            f"HMC, many networks (quoted by {_CALVO})": ("90.70", "", "5.94", ""),
            "HMC, many networks, its released predictions": ("91.44", "27.7", "5.2", ""),
            f"ResNet-20, deep ensemble of 5 ({_IVON})": ("93.57", "19.8", "1.4", "9.6"),
            f"ResNet-20, five IVON runs ({_IVON})": ("94.37", "17.9", "2.9", "8.7"),
        },
    },
}
"""By set and cost, of each method accuracy in per cent and NLL, ECE and Brier × 100; empty is not said."""

AUROC: dict[str, dict[str, dict[str, str]]] = {
    "mnist": {
        f"LeNet, the highest against fashion_mnist of {_VIKING}": {"fashion_mnist": "0.972"},
        f"LeNet, the highest against kmnist of {_VIKING}": {"kmnist": "0.965"},
    },
    "fashion_mnist": {
        f"LeNet, the highest against mnist of {_VIKING}": {"mnist": "0.914"},
        f"LeNet, the highest against kmnist of {_VIKING}": {"kmnist": "0.926"},
    },
}
"""By set, of single networks."""
