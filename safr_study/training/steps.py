"""One pass over the training texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from safr_study.data import Batch, EncodedSplit, epoch_steps, training_batches
from safr_study.errors import TrialFailure
from safr_study.model import (
    Classifier,
    SafrClassifier,
    ffn1_weights,
    loss_terms,
    of_encoder,
    piece_counts,
)
from safr_study.records import LossTerms
from safr_study.settings import TrainConfig
from safr_study.training.adam import DenseAdam, EmbeddingAdam
from safr_study.training.augmentation import shortened
from safr_study.training.cuda_graphs import GraphedSteps
from safr_study.training.numerics import release_memory
from safr_study.training.schedule import is_constant, learning_rates, set_rate

RELEASE_STEPS = 50
"""Steps between two calls that return freed memory: a tenth of a second each at most."""
Step = Callable[[Batch], dict[str, Tensor]]
"""Trains on a batch, and returns its losses by term, from before the step."""
_NOT_COMPUTED = dict.fromkeys(("importance", "interaction", "vmask_information"))


def train_epoch(
    config: TrainConfig,
    split: EncodedSplit,
    model: Classifier,
    optimizer: torch.optim.Adam,
    *,
    epoch: int,
    pad_to: int | None,
    graphed: GraphedSteps | None = None,
    class_weights: Tensor | None = None,
) -> LossTerms:
    """Train on the texts of an epoch, and return the mean loss per text, by term.

    Order of the texts, what they lose, dropout and gates are decided by (seed, epoch) alone, so
    that a resumed training needs no state of a random generator.

    ``graphed`` are the steps of this training on a GPU; ``None``: the model is on the CPU.
    ``class_weights`` are those of `balanced_weights`, the same tensor in every epoch.

    Raises:
        TrialFailure: a loss, or the square of a gradient, is not finite.
    """
    split = shortened(
        split,
        share=config.deletion_augmentation,
        bound=config.deletion_bound,
        seed=config.seed,
        epoch=epoch,
    )
    noise = torch.Generator() if graphed is None else graphed.noise
    words = np.random.SeedSequence([config.seed, epoch]).generate_state(1, np.uint64)
    noise.manual_seed(int(words[0]))
    model.train()
    names: tuple[str, ...] = ()
    steps: list[Tensor] = []
    sizes: list[int] = []
    batches = training_batches(
        split,
        config.batch_size,
        seed=config.seed,
        epoch=epoch,
        pad_to=pad_to,
        pieces=piece_counts(model),
        texts=config.epoch_texts,
    )
    of_epochs = epoch_steps(split.examples, config.batch_size, config.epoch_texts, config.epochs)
    rates = learning_rates(config, steps=int(of_epochs.sum()))
    of_epoch = rates[of_epochs[: epoch - 1].sum() : of_epochs[:epoch].sum()]
    with stepping(config, model, optimizer, noise, graphed, class_weights, rates) as step:
        for batch, rate in zip(batches, of_epoch.tolist(), strict=True):
            set_rate(optimizer, rate)
            losses = step(batch)
            names = tuple(losses)
            steps.append(torch.stack(tuple(losses.values())))
            sizes.append(len(batch.labels))
            if len(steps) % RELEASE_STEPS == 0:
                release_memory()
            # On a GPU a look at each loss would wait for it; there the epoch's end is soon enough.
            if graphed is None:
                _check(config, epoch, len(steps), names, steps[-1].numpy())
    table = torch.stack(steps).cpu().numpy()  # [steps, terms]
    for number, row in enumerate(table, start=1):
        _check(config, epoch, number, names, row)
    _check_moments(config, epoch, optimizer)
    means = np.average(table.astype(np.float64), axis=0, weights=sizes).tolist()
    return LossTerms(**{**_NOT_COMPUTED, **dict(zip(names, means, strict=True))})


@contextmanager
def stepping(
    config: TrainConfig,
    model: Classifier,
    optimizer: torch.optim.Adam,
    noise: torch.Generator,
    graphed: GraphedSteps | None = None,
    class_weights: Tensor | None = None,
    rates: npt.NDArray[np.float64] | None = None,
) -> Iterator[Step]:
    """One step of training after the other; model and optimiser are whole again afterwards.

    Args:
        config: of the training.
        model: in training mode.
        optimizer: of the model's trained parameters.
        noise: on the device of the model; decides dropout and gates.
        graphed: runs the steps on a GPU; its noise is ``noise``. ``None``: the model is on the CPU.
        class_weights: on the device; see `balanced_weights`.
        rates: of all steps of the training, see `learning_rates`; the optimiser has that of the
            next one. ``None``: its own in every step.
    """

    def backward(ids: Tensor, labels: Tensor, pieces: int | None) -> dict[str, Tensor]:
        losses = losses_of(config, ids, labels, model, noise, class_weights, pieces)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        return {name: term.detach() for name, term in losses.items()}

    if graphed is not None:
        # A GPU updates the whole embedding in less time than it takes to start row-wise kernels.
        def work(ids: Tensor, labels: Tensor, pieces: int | None) -> dict[str, Tensor]:
            losses = backward(ids, labels, pieces)
            optimizer.step()
            return losses

        yield lambda batch: graphed.run(batch, work, optimizer.zero_grad)
        return

    words = model.embedding.weight
    others = [parameter for parameter in trained(model) if parameter is not words]
    moving = None if is_constant(config) else rates
    optimizer.zero_grad()
    with ExitStack() as stack:
        every: list[EmbeddingAdam | DenseAdam] = [DenseAdam(others, optimizer)]
        if words.requires_grad:
            every.insert(0, EmbeddingAdam(model.embedding, optimizer, moving))
        for one in every:
            stack.enter_context(one)

        def step(batch: Batch) -> dict[str, Tensor]:
            ids, labels = torch.from_numpy(batch.ids), torch.from_numpy(batch.labels)
            losses = backward(ids, labels, batch.pieces)
            for one in every:
                one.step()
            return losses

        yield step


def trained(model: Classifier) -> list[nn.Parameter]:
    """The parameters of a model that its training changes."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def balanced_weights(
    config: TrainConfig, split: EncodedSplit, classes: int, device: torch.device
) -> Tensor | None:
    """Weight of each class in the cross-entropy: n / (C n_c), 0 for a class without texts.

    Args:
        config: of the training.
        split: the training texts, n.
        classes: their number, C.
        device: of the model.

    Returns:
        ``[C]`` float32; ``None`` where the training has no class weights.
    """
    if config.class_weights == "none":
        return None
    counts = torch.bincount(torch.from_numpy(split.labels), minlength=classes)
    weights = split.examples / (classes * counts.double().clamp(min=1.0))
    return (weights * (counts > 0)).float().to(device)


def losses_of(
    config: TrainConfig,
    ids: Tensor,
    labels: Tensor,
    model: Classifier,
    noise: torch.Generator,
    class_weights: Tensor | None = None,
    pieces: int | None = None,
) -> dict[str, Tensor]:
    """The losses of a batch by term, in the precision of the training, for a backward pass.

    Args:
        config: of the training.
        ids: ``[B, L]``, on the device of the model.
        labels: ``[B]``, there too.
        model: in training mode.
        noise: on the device; decides dropout and gates.
        class_weights: there too; see `balanced_weights`.
        pieces: most of a text, for a model over an encoder.
    """
    penalties = config.penalties
    wanted = of_encoder(model, pieces=pieces)
    if penalties.lambda_l1 and isinstance(model, SafrClassifier):
        wanted = {"ffn1": True}
    lowers = config.precision == "bfloat16" or (config.precision == "auto" and ids.is_cuda)
    # Each weight is cast once in a step: a cache would outlive it, and the graph that it is in.
    with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=lowers, cache_enabled=False):
        output = model(ids, noise=noise, **wanted)
    rows = ffn1_weights(model) if penalties.lambda_ortho else ()
    return loss_terms(output, labels, ids, penalties, config.preset, class_weights, rows)


def not_finite(config: TrainConfig, when: str, term: str) -> TrialFailure:
    """The failure of a trial whose numbers left the reals, with what to try."""
    return TrialFailure(
        f"{when}: the {term} is not finite; try a learning rate below {config.learning_rate:g} "
        "or smaller lambdas"
    )


def _check(
    config: TrainConfig,
    epoch: int,
    step: int,
    names: tuple[str, ...],
    row: npt.NDArray[np.float32],
) -> None:
    if np.isfinite(row).all():
        return
    # The total is named only when none of its parts is to blame.
    faulty = [name for name, value in zip(names, row, strict=True) if not np.isfinite(value)][-1]
    raise not_finite(config, f"epoch {epoch}, step {step}", f"{faulty.replace('_', ' ')} loss")


def _check_moments(config: TrainConfig, epoch: int, optimizer: torch.optim.Adam) -> None:
    """Refuse squares of gradients that overflowed: Adam divides by them, so training stops.

    The losses stay finite then, and nothing else would tell.
    """
    squares = [state["exp_avg_sq"] for state in optimizer.state.values()]
    if not all(bool(square.isfinite().all()) for square in squares):
        raise not_finite(config, f"epoch {epoch}", "square of a gradient")
