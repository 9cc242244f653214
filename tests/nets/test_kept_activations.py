from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rerank.errors import InputError
from rerank.layers import BilateralTerm, CRFGrad, SpatialTerm
from rerank.nets import (
    AugmentedImages,
    DenseCRFNet,
    DenseFCN,
    KeptActivations,
    Phase,
    TrainConfig,
    train,
)
from rerank.nets.kept_activations import resize_labels


def samples(n=6, height=24, width=32):
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)
    made = []
    for seed in range(n):
        labels = np.random.default_rng(seed).integers(0, 3, (height // 8, width // 8))
        labels = np.repeat(np.repeat(labels, 8, 0), 8, 1).astype(np.uint8)
        made.append(SimpleNamespace(image=colours[labels], labels=labels))
    return made


def frozen_net(seed=0):
    return DenseFCN(3, "small", train_backbone=False, width=16, dropout=0.0, random_state=seed)


def test_logits_are_those_of_the_images():
    net = frozen_net()
    data = KeptActivations(net, samples(), (24, 32))
    net.eval()
    batch = data.batch(np.arange(6), np.random.default_rng(1))
    torch.testing.assert_close(net(batch.inputs), net(batch.inputs.images), rtol=2e-3, atol=2e-3)
    shown = [
        np.array_equal(x.permute(1, 2, 0).numpy(), s.image)
        for x, s in zip(batch.inputs.images, samples())
    ]
    assert 0 < sum(shown) < 6
    for x, y in zip(batch.inputs.images, batch.targets):
        assert np.array_equal(x.argmax(0).numpy(), y.numpy())


def test_images_are_resized_with_their_labels():
    net = frozen_net()
    data = KeptActivations(net, samples(), (12, 16), flip=False)
    assert data.labels.shape == (6, 12, 16) and len(data) == 6
    batch = data.batch(np.array([4]), np.random.default_rng(0))
    assert np.array_equal(batch.targets[0].numpy(), samples()[4].labels[::2, ::2])
    assert torch.equal(data.inputs(4).images, batch.inputs.images)


def test_a_training_goes_as_on_the_images():
    """The same seeds on kept activations and on whole images, which are not mirrored."""
    nets = []
    for kept in (True, False):
        net = frozen_net()
        data = (
            KeptActivations(net, samples(), (24, 32), flip=False)
            if kept
            else AugmentedImages(samples(), flip=False)
        )
        train(net, data, TrainConfig((Phase("ce", 3, 0.05),), batch_size=3))
        nets.append(net)
    for first, second in zip(nets[0].parameters(), nets[1].parameters()):
        torch.testing.assert_close(first, second, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("loss", ["ce", "rmi(factor=2)"])
def test_net_and_crf_layer_train_as_one(loss):
    net = frozen_net()
    data = KeptActivations(net, samples(8), (24, 32))
    train(net, data, TrainConfig((Phase("ce", 15, 0.1),), batch_size=4))
    joint = DenseCRFNet(
        net, CRFGrad(3, spatial=SpatialTerm(radius=2), bilateral=BilateralTerm(position_std=10.0))
    )
    before = {name: value.clone() for name, value in joint.state_dict().items()}
    train(joint, data, TrainConfig((Phase(loss, 2, 0.02),), batch_size=4))
    after = joint.state_dict()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert {
        "layer.spatial.weight",
        "layer.bilateral.weight",
        "layer.unary_weight",
        "net.hidden.weight",
    } <= changed
    assert not any(name.startswith("net.backbone.") for name in changed)
    right = [
        (joint(data.inputs(i)).argmax(1)[0].numpy() == data.labels[i]).mean() for i in range(8)
    ]
    assert np.mean(right) > 0.9


def test_unusable_arguments():
    with pytest.raises(InputError, match="frozen"):
        KeptActivations(DenseFCN(3, "small", random_state=0), samples(), (24, 32))
    with pytest.raises(InputError, match="no sample"):
        KeptActivations(frozen_net(), [], (24, 32))
    wrong = SimpleNamespace(image=np.zeros((24, 32, 3), np.uint8), labels=np.zeros((24, 31)))
    with pytest.raises(InputError, match=r"sample 0: the image is \(24, 32\)"):
        KeptActivations(frozen_net(), [wrong], (24, 32))
    with pytest.raises(InputError, match="3 classes and the layer 2"):
        DenseCRFNet(frozen_net(), CRFGrad(2))


def test_resized_labels_keep_void():
    labels = np.array([[0, 255], [7, 300]])
    assert np.array_equal(resize_labels(labels, (4, 4)), np.repeat(np.repeat(labels, 2, 0), 2, 1))
    assert resize_labels(labels, (2, 2)).dtype == np.int64
