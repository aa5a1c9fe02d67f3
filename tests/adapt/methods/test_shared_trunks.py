"""What methods may have in common of images: it goes by the class that says so."""

import torch

from headroles.adapt.methods.features import EMBEDDED, Batch, residual_before
from headroles.adapt.methods.ltv import Ltv
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.methods.shared_trunks import kind_of
from headroles.adapt.methods.zero_shot import ZeroShot


def test_a_trunk_that_nobody_spoke_of_is_shared_by_nobody(model):
    class Silent(ZeroShot):
        def image_trunk(self, pixels):
            return 2 * super().image_trunk(pixels)

    class Told(Silent):
        trunk_kind = "twice the unit embeddings"

    class Below(Told):
        def image_trunk(self, pixels):
            return 3 * super().image_trunk(pixels)

    found = [kind_of(kind(model)) for kind in (ZeroShot, Silent, Told, Below)]
    assert found == [EMBEDDED, None, "twice the unit embeddings", None]


def test_task_vectors_share_no_more_than_embeddings(model):
    ltv, seen = Ltv(model), []
    pixels = torch.zeros(2, 3, *model.image_shape)

    def look(epoch):
        seen.append(kind_of(ltv))
        yield Batch(ltv.image_trunk(pixels), torch.zeros(2, dtype=torch.long), None)

    ltv.start(look)
    assert [*seen, kind_of(ltv)] == [None, EMBEDDED]


def test_methods_with_one_first_layer_share_the_stream_before_it(model):
    mmrl, maple = (METHODS[name](model) for name in ("mmrl", "maple"))
    assert (kind_of(mmrl), kind_of(maple)) == (residual_before(mmrl.layer), residual_before(maple.layer))
    assert kind_of(METHODS["layer-fusion-texts"](model, classes=("a", "b"))) is None
