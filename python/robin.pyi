"""How robust is an image classifier? Attacks on NumPy arrays, fast on processors."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from numpy import bool_, float32, uint32
from numpy.typing import ArrayLike, NDArray

Model = Mapping[str, Any] | str | PathLike[str]

class Found:
    """What attacks found, in the order of the images that they were given."""

    images: NDArray[float32]
    """[n, c, h, w], within the budget: the adversarial image; where no attack found one, the best try of the last; the
    clean image where it is misclassified as it is."""
    predictions: NDArray[uint32]
    clean_predictions: NDArray[uint32]
    misclassified: NDArray[bool_]
    """Whether an image's class is not its label; one that is misclassified clean counts as it is."""
    misclassified_by: list[str | None]
    """The attack that broke each image: "clean" without one, None where it withstands all."""
    accuracy: float
    """Share of images that withstand every attack."""
    interval: tuple[float, float]
    """Wilson's 95% interval of accuracy."""
    clean_accuracy: float
    warnings: list[str]

def attack(
    model: Model | Sequence[Model],
    architecture: str | None,
    images: ArrayLike,
    labels: ArrayLike,
    *,
    norm: str = "linf",
    epsilon: float | str,
    attack: str = "pgd",
    loss: str | None = None,
    strategy: str = "softmax",
    aggregate: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int = 0,
    batch_size: int = 128,
    threads: int | None = None,
    **settings: Any,
) -> Found: ...
def evaluate(
    model: Model | Sequence[Model],
    architecture: str | None,
    images: ArrayLike,
    labels: ArrayLike,
    *,
    norm: str = "linf",
    epsilon: float | str,
    attacks: Sequence[str] = ("pgd", "autoattack"),
    aggregate: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int = 0,
    batch_size: int = 128,
    threads: int | None = None,
) -> Found: ...
def attacks() -> dict[str, dict[str, Any]]: ...
def architectures() -> list[str]: ...
