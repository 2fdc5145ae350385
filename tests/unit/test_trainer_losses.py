"""The loss of each head against its textbook definition, weighted and focal."""

import math

import pytest
import torch
from torch.nn import functional

from trainer.model.encoding import IGNORED
from trainer.model.training_plan import make_loss

LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3], [-2.0, 3.0, 0.0]])
TRUTH = torch.tensor([0, 2, 0])
SEVERAL = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0]])


def test_cross_entropy_of_one_row() -> None:
    loss = make_loss("single-label")(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1)))


def test_class_weights_scale_the_rows_of_their_label() -> None:
    plain = functional.cross_entropy(LOGITS, TRUTH, reduction="none")
    weighted = make_loss("single-label", weights=[3.0, 1.0, 0.5])(LOGITS, TRUTH)
    assert weighted.item() == pytest.approx((plain * torch.tensor([3.0, 0.5, 3.0])).sum().item())


def test_ignored_tokens_do_not_change_the_loss() -> None:
    logits = LOGITS.reshape(1, 3, 3)
    targets = torch.tensor([[IGNORED, 2, IGNORED]])
    alone = make_loss("single-label")(LOGITS[1:2], TRUTH[1:2])
    for name in ("default", "focal"):
        loss = make_loss("token", name, gamma=0.0)(logits, targets)
        assert loss.item() == pytest.approx(alone.item())
    focal = make_loss("token", "focal", weights=[5.0, 5.0, 1.0])(logits, targets)
    assert focal.item() == pytest.approx(make_loss("single-label", "focal")(LOGITS[1:2], TRUTH[1:2]).item())


def test_positive_weights_do_not_change_the_loss_of_negatives() -> None:
    plain = functional.binary_cross_entropy_with_logits(LOGITS, SEVERAL, reduction="none")
    scale = torch.where(SEVERAL > 0, torch.tensor([4.0, 2.0, 1.0]), 1.0)
    weighted = make_loss("multi-label", weights=[4.0, 2.0, 1.0])(LOGITS, SEVERAL)
    assert weighted.item() == pytest.approx((plain * scale).sum().item())


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_focal_loss_matches_its_paper(gamma: float) -> None:
    chance = LOGITS.softmax(1)[range(3), TRUTH]
    expected = (-((1 - chance) ** gamma) * chance.log()).sum()
    assert make_loss("single-label", "focal", gamma=gamma)(LOGITS, TRUTH).item() == pytest.approx(
        expected.item(), rel=1e-5
    )
    chances = torch.where(SEVERAL > 0, LOGITS.sigmoid(), 1 - LOGITS.sigmoid())
    expected = (-((1 - chances) ** gamma) * chances.log()).sum()
    assert make_loss("multi-label", "focal", gamma=gamma)(LOGITS, SEVERAL).item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_the_focal_loss_of_a_certain_prediction_has_a_finite_gradient() -> None:
    for head, targets in (("single-label", torch.tensor([0])), ("multi-label", torch.tensor([[1.0, 0.0]]))):
        logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
        make_loss(head, "focal", gamma=0.5)(logits, targets).backward()  # type: ignore[arg-type]
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


def test_binary_cross_entropy_over_two_logits_differs_from_cross_entropy() -> None:
    """As the docs note, binary cross-entropy treats two mutually exclusive labels as independent."""
    logits = torch.tensor([[3.0, 2.0]])
    both = make_loss("multi-label")(logits, torch.tensor([[1.0, 0.0]]))
    one = make_loss("single-label")(logits, torch.tensor([0]))
    shifted = make_loss("single-label")(logits + 5, torch.tensor([0]))
    assert one.item() == pytest.approx(shifted.item(), abs=1e-5)
    assert both.item() > one.item() + 1
    assert logits.sigmoid().sum().item() > 1.5, "sigmoid scores of two labels do not sum to 1"


def test_the_loss_of_a_regression_is_the_squared_error() -> None:
    loss = make_loss("regression")(torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, 4.0]))
    assert loss.item() == pytest.approx(5.0)


def test_losses_that_do_not_fit_the_head_are_refused() -> None:
    with pytest.raises(ValueError, match="squared error"):
        make_loss("regression", "focal")
    with pytest.raises(ValueError, match="squared error"):
        make_loss("regression", weights=[1.0])
    with pytest.raises(ValueError, match="smoothing"):
        make_loss("multi-label", smoothing=0.1)
