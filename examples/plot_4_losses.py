"""
Losses compared
===============

What each loss asks of the same pixels: its value and its gradient as a network becomes sure of
one class, and where it pushes in an image with a small object.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from rerank.losses import expected_iou_loss, expected_uoi_loss, rmi_loss, soft_cross_entropy

# %%
# A small object, 6 % of the image, that a network gives a probability between 0 and 1.

target = torch.zeros(1, 32, 32, dtype=torch.long)
target[:, 12:20, 12:20] = 1
losses = {
    "cross-entropy": soft_cross_entropy,
    "1 - expected IoU": expected_iou_loss,
    "expected UOI": expected_uoi_loss,
    "RMI": lambda logits, labels: rmi_loss(logits, labels),
}
margins = np.linspace(-4, 4, 41)
curves = {name: [] for name in losses}
for margin in margins:
    logits = torch.zeros(1, 2, 32, 32)
    logits[:, 1] = torch.where(target == 1, float(margin), -4.0)
    for name, loss in losses.items():
        curves[name].append(float(loss(logits, target)))

figure, axis = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for name, values in curves.items():
    values = np.array(values)
    axis.plot(margins, (values - values.min()) / np.ptp(values), label=name)
axis.set(
    xlabel="score of the object's class where the object is",
    ylabel="loss, from its least to its largest",
)
axis.legend()
axis.grid(alpha=0.3)
plt.show()

# %%
# The gradient at a blurred answer. Cross-entropy counts pixels, so that the large background has
# most of it. IoU counts classes: the object's pixels weigh more. RMI looks at the border's
# neighbourhoods.

blurred = torch.nn.functional.avg_pool2d(
    torch.nn.functional.one_hot(target, 2).permute(0, 3, 1, 2).float(), 9, 1, 4
)
figure, axes = plt.subplots(1, len(losses), figsize=(10, 2.8), layout="constrained")
for axis, (name, loss) in zip(axes, losses.items()):
    logits = (3 * (blurred - 0.5)).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, target), logits)
    push = -gradient[0, 1].numpy()
    limit = np.abs(push).max()
    axis.imshow(push, cmap="RdBu_r", vmin=-limit, vmax=limit)
    inside = np.abs(push[12:20, 12:20]).sum() / np.abs(push).sum()
    axis.set_title(f"{name}\n{100 * inside:.0f} % on the object", fontsize=9)
    axis.axis("off")
plt.show()
