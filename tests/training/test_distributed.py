"""Two processes on this machine, that talk through gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = '''
import importlib.util, json, os, sys
import torch, pytorch_lightning as pl

tests, out = sys.argv[1:]
spec = importlib.util.spec_from_file_location("shared", os.path.join(tests, "conftest.py"))
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
from musicfsl.backbones import ConvEncoder
from musicfsl.heads import PrototypicalHead
from musicfsl.training import EpisodicData, EpisodicLearner


class Record(pl.Callback):
    """Keeps what this process saw, and its own accuracies."""

    def __init__(self):
        self.seen, self.right = [], []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.seen.append(batch.query.double().sum().item())
        with torch.no_grad():
            n = batch.support.shape[1]
            z = module.encoder(torch.cat([batch.support, batch.query], 1)[0])
            logits = module.head(z[:n], batch.support_targets[0], z[n:])
            self.right += (logits.argmax(-1) == batch.query_targets[0]).tolist()


if __name__ == "__main__":
    torch.set_num_threads(1)
    record = Record()
    data = EpisodicData(
        shared.Tones(n_classes=7), sizes=(3, 2, 2), n_way=3, n_support=2, n_query=2, episodes_per_epoch=7,
        eval_n_support=2, eval_n_query=4, eval_episodes=50, duration=0.2, augment=False, cache_dir=out + "/cache",
    )
    learner = EpisodicLearner(ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8)), PrototypicalHead("cosine"))
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, callbacks=[record],
    )
    trainer.fit(learner, datamodule=data)
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    weights = sum(p.double().sum().item() for p in learner.parameters())
    content = {"seen": record.seen, "right": record.right, "logged": logged, "weights": weights,
               "whitening": learner.encoder.whitening.matrix.double().sum().item()}
    with open(f"{out}/rank{trainer.global_rank}.json", "w") as file:
        json.dump(content, file)
'''


@pytest.mark.timeout(240)
def test_two_processes(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    tests = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(tests.parent), "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tests), str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=220, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2))

    # Each process saw its own episodes, equally many (of seven the odd one is left out).
    assert len(first["seen"]) == len(second["seen"]) == 3
    assert not set(first["seen"]) & set(second["seen"])
    # The accuracy that was logged is that of all of them.
    right = first["right"] + second["right"]
    assert first["logged"]["train/accuracy"] == pytest.approx(sum(right) / len(right))
    assert first["logged"] == second["logged"]
    # Both ended with the same network and the same whitening.
    assert first["weights"] == second["weights"]
    assert first["whitening"] == second["whitening"]
