"""The methods beside their plain implementations, by which `benchmarks/adapt.py` times them."""

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from headroles import load
from headroles.adapt.methods.features import Batch
from headroles.adapt.methods.registry import METHODS

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
from plain import SCALE, Given
from plain_methods import PLAIN
from steps import STEPPING, build_ours, build_plain

NAMES = ("red circle", "blue square", "green star", "grey heart", "night")


@pytest.fixture(scope="module")
def given(clip_folder) -> Given:
    model, generator = load(str(clip_folder), "cpu"), torch.Generator().manual_seed(4)
    model.clip.logit_scale.data.fill_(SCALE).log_()
    pixels = torch.randn(4, 3, *model.image_shape, generator=generator)
    return Given(model, pixels, torch.tensor([0, 1, 2, 4]), NAMES, "a photo of a {}.")


def test_every_method_that_takes_steps_has_a_plain_form():
    assert set(STEPPING) == set(PLAIN), "add one in benchmarks/plain_methods.py"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # Which peft asks for.
@pytest.mark.parametrize("name", PLAIN)
def test_a_step_of_both_can_be_timed_and_trains_as_many_numbers(name, given):
    if name == "clip-lora":
        pytest.importorskip("peft")
    step, trained = build_ours(name, given)
    step()
    plain, as_many = build_plain(name, given)
    plain()
    assert trained == as_many > 0


def find_twins(name: str, layers: int, own: Iterable[str]) -> dict[str, list[str]]:
    """Of every trained tensor of ours those of the plain implementation that are the same numbers, in order."""
    place = "tuned.{}_model.encoder.layers.{}.self_attn.{}_proj.parametrizations.weight.0.{}".format
    if name == "clip-svd":
        return {
            f"{ours}.values": [place(tower, layer, "out", "values") for layer in range(layers)]
            for ours, tower in (("vision", "vision"), ("text", "text"))
        }
    if name == "head-purification":
        sums = {
            f"sums.{layer}/{matrix}/{ours}": [place("vision", layer, matrix, theirs)]
            for layer in range(layers)
            for matrix in "qkv"
            for ours, theirs in (("A", "low"), ("B", "high"))
        }
        return {**sums, "gates": [place("vision", layer, "out", "gates") for layer in range(layers)]}
    if name == "linear-probe":
        return {"weights": ["linear.weight", "linear.bias"]}
    return {each: [each.removeprefix("fusion.")] for each in own}


@pytest.mark.parametrize(
    "name",
    ["clip-svd", "head-purification", "ltv", "linear-probe", "hcvp", "layer-fusion", "layer-fusion-texts"],
)
def test_losses_of_both_are_equal_where_their_tensors_are(name, given):
    """Whatever the tensors are: they are moved away from where they begin."""
    kind, generator = METHODS[name], torch.Generator().manual_seed(5)
    method, plain = kind(given.model, None, kind.settings(), 1, NAMES), PLAIN[name](given)
    texts = method.class_trunk(NAMES, given.template)

    def draw() -> Batch:
        return Batch(method.image_trunk(given.pixels), given.labels, texts)

    with torch.no_grad():
        method.start(lambda epoch: iter([draw()]))
        own = [each for each, _ in method.named_parameters()]
        twins = find_twins(name, given.model.visual.layers, own)
        assert set(twins) == set(own)
        for ours, theirs in twins.items():
            tensor, others = method.get_parameter(ours), [plain.get_parameter(each) for each in theirs]
            tensor.mul_(1 - 0.2 * torch.rand(tensor.shape, generator=generator))
            tensor.sub_(0.2 * torch.rand(tensor.shape, generator=generator))
            parts = tensor.flatten().split([each.numel() for each in others])
            if name == "linear-probe":  # The bias stands behind the weights.
                parts = tensor[:, :-1], tensor[:, -1]
            for other, part in zip(others, parts, strict=True):
                other.copy_(part.view(other.shape))
    torch.manual_seed(6)  # Noise is drawn alike.
    _, losses = method(draw())
    torch.manual_seed(6)
    torch.testing.assert_close(sum(losses.values()), plain(), rtol=1e-4, atol=1e-5)
