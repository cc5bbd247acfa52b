"""D-SINK without even a subclass: a callback that wraps the instance for the time of the fit.

Run: python examples/callback_form.py
"""

import lightning as L
from my_project import MyData, MyNet, test_accuracy

from lt_callbacks import DSink, DSinkCallback, ProxyLabelMonitor, train_teachers


def main(max_epochs: int = 50) -> float:
    data = MyData()
    f_L, f_N = train_teachers(lambda: MyNet(max_epochs), data, trainer={"max_epochs": max_epochs})
    model = MyNet(max_epochs)
    # `logits_from="head"` would do the same for a module that does not call its own forward.
    dsink = DSink(noise_teacher=f_N, imbalance_teacher=f_L, alpha=10.0)
    trainer = L.Trainer(
        max_epochs=max_epochs,
        callbacks=[DSinkCallback(dsink), ProxyLabelMonitor()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    assert type(model) is MyNet
    assert "training_step" not in vars(model)  # the instance is as it was
    accuracy = test_accuracy(model, data)
    print(f"test accuracy: {100 * accuracy:.1f} %")
    return accuracy


if __name__ == "__main__":
    main()
