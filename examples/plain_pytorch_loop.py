"""D-SINK in a loop of one's own, without a Trainer: two functions are all there is.

Run: python examples/plain_pytorch_loop.py
"""

import torch
import torch.nn.functional as F
from my_project import MyData, MyNet, test_accuracy

from lt_callbacks import train_teachers
from lt_callbacks.dsink import proxy_label_loss, proxy_labels


def main(max_epochs: int = 50, alpha: float = 10.0) -> float:
    data = MyData()
    f_L, f_N = train_teachers(lambda: MyNet(max_epochs), data, trainer={"max_epochs": max_epochs})
    torch.manual_seed(0)
    model = MyNet(max_epochs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.0)
    for _ in range(max_epochs):
        for images, given_label in data.train_dataloader():
            logits = model(images)
            # (N, C) labels: each row near f_N and the model, column sums those of f_L.
            class_marginal = f_L.log_probs(images).exp().sum(0)
            q = proxy_labels(logits, f_N.log_probs(images), class_marginal).plan
            loss = F.cross_entropy(logits, given_label) + alpha * proxy_label_loss(logits, q)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    accuracy = test_accuracy(model, data)
    print(f"test accuracy: {100 * accuracy:.1f} %")
    return accuracy


if __name__ == "__main__":
    main()
