"""D-SINK on a LightningModule that knows nothing of it: `class RobustNet(DSinkMixin, MyNet)`.

Run: python examples/dsink_on_a_module.py
"""

import lightning as L
from my_project import MyData, MyNet, test_accuracy

from lt_callbacks import DSink, DSinkMixin, ProxyLabelMonitor, train_teachers


class RobustNet(DSinkMixin, MyNet):
    """MyNet, with D-SINK's loss added to whatever its training_step returns."""


def main(max_epochs: int = 50) -> dict[str, float]:
    data = MyData()
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }

    # Two weak teachers from the same module and data; kept in a store, so a second run reuses them.
    f_L, f_N = train_teachers(
        lambda: MyNet(max_epochs),
        data,
        imbalance="logit_adjustment",
        noise="elr",
        trainer={"max_epochs": max_epochs, **quiet},
    )

    L.seed_everything(0, verbose=False)
    plain = MyNet(max_epochs)
    L.Trainer(max_epochs=max_epochs, **quiet).fit(plain, data)

    L.seed_everything(0, verbose=False)
    robust = RobustNet(max_epochs)
    robust.attach_dsink(DSink(noise_teacher=f_N, imbalance_teacher=f_L, alpha=10.0))
    trainer = L.Trainer(max_epochs=max_epochs, callbacks=[ProxyLabelMonitor()], **quiet)
    trainer.fit(robust, data)

    for name in ("marginal_error", "sweeps", "entropy", "agreement"):
        print(f"dsink/{name}: {float(trainer.callback_metrics[f'dsink/{name}']):.4f}")
    accuracy = {"plain": test_accuracy(plain, data), "D-SINK": test_accuracy(robust, data)}
    print({name: f"{100 * value:.1f} %" for name, value in accuracy.items()})

    # The checkpoint of a D-SINK model is one of MyNet.
    MyNet().load_state_dict(robust.state_dict())
    return accuracy


if __name__ == "__main__":
    main()
