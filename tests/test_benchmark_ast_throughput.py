"""Training steps of the Audio Spectrogram Transformer in both precisions: their number a second, and their losses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import ast_throughput
from musicfsl import AstEncoder, EpisodeDataset, FeatureStore, PrototypicalHead
from musicfsl.datasets.base import ClassConditionalDataset

pytest.importorskip("transformers")

on_cuda = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
)


def tiny(blocks: int | None = None) -> AstEncoder:
    return AstEncoder.from_config(
        hidden_size=16, n_layers=2, n_heads=2, time_stride=16, frequency_stride=16, trainable_blocks=blocks
    )


@pytest.fixture
def clips(make_tones, tmp_path: Path) -> ClassConditionalDataset:
    tones = make_tones(n_classes=6, n_clips=20, seconds=1.0)
    store = FeatureStore.build(tones, tiny().front_end, trim_db=None, cache_dir=tmp_path, progress=False)
    return store.with_length(40)


def test_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(ast_throughput.SIZES, "small", tiny)
    assert ast_throughput.main(["--device", "cpu", "--steps", "1", "--repeats", "1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["what"].rpartition(": ")[2] for row in answer["rows"]] == [
        "all blocks", "the last two blocks", "none, stored embeddings",
    ]  # fmt: skip
    for row in answer["rows"]:
        bf16, fp32 = (float(row[side].split()[1]) for side in ("ours", "peer"))
        assert row["ratio"] == pytest.approx(bf16 / fp32, rel=0.02)  # the figures are rounded
    assert "the small network on a CPU" in answer["about"]


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cuda:99", "gramophone"):
        assert ast_throughput.main(["--device", name]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: --device {name}: ") and error.count("\n") == 1
    with pytest.raises(SystemExit, match="2"):
        ast_throughput.main(["--steps", "0"])


def test_steps_are_those_of_a_plain_loop(clips: ClassConditionalDataset) -> None:
    losses = ast_throughput.Training(tiny(), clips, "fp32", seed=3).steps(3)
    encoder, head = tiny().train(), PrototypicalHead("cosine", learn_temperature=True)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-4)
    episodes = EpisodeDataset(clips, 5, 5, 15, n_episodes=3, seed=3)
    for i, loss in enumerate(losses):
        episode = episodes[i]
        logits = head(encoder(episode.support), episode.support_targets, encoder(episode.query), episode.classes)
        expected = torch.nn.functional.cross_entropy(logits, episode.query_targets)
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-3, atol=1e-4)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()


@pytest.mark.parametrize("device", ["cpu", on_cuda])
@pytest.mark.parametrize("blocks", [None, 1])
def test_losses_in_bfloat16_are_close_to_those_in_float32(clips, device: str, blocks: int | None) -> None:
    losses, types = {}, set()
    for precision in ast_throughput.PRECISIONS:
        encoder = tiny(blocks).to(device)
        before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
        if precision == "bf16":
            block = encoder.backbone.last_blocks(1)[0]
            linear = next(part for part in block.modules() if isinstance(part, torch.nn.Linear))
            linear.register_forward_hook(lambda module, inputs, output: types.add(output.dtype))
        losses[precision] = ast_throughput.Training(encoder, clips, precision, learning_rate=5e-4).steps(16)
        for name, p in encoder.named_parameters():
            if name.endswith(".weight"):  # a bias may have no gradient, such as that of the attention's keys
                assert torch.equal(p, before[name]) != p.requires_grad, name
        assert all(p.dtype == torch.float32 and p.isfinite().all() for p in encoder.parameters())
    assert types == {torch.bfloat16}
    assert torch.isfinite(losses["bf16"]).all()
    assert losses["fp32"][-4:].mean() < losses["fp32"][0] - 0.3  # both learned something, so could have gone apart
    # A bfloat16 has 8 significant bits: each of the some ten products in a row is off by 0.4 % at most.
    torch.testing.assert_close(losses["bf16"], losses["fp32"], rtol=0.0, atol=0.05)
