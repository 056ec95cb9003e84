from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from musicfsl.annotation import Recognizer, Support, calibrated_temperature, embed_support
from musicfsl.backbones import ConvEncoder, MfccEncoder
from musicfsl.embedding import Standardizer
from musicfsl.errors import InputError
from musicfsl.heads import PrototypicalHead


@pytest.fixture
def support() -> Support:
    """Three classes of 3, 1 and 4 clips, with one to three windows each."""
    rng = np.random.default_rng(0)
    targets = np.array([0, 0, 0, 1, 2, 2, 2, 2])
    clips = np.repeat(np.arange(8), [1, 2, 3, 2, 1, 1, 2, 3])
    z = rng.normal(size=(3, 6))[targets[clips]] + 0.8 * rng.normal(size=(15, 6))
    return Support(
        torch.from_numpy(z).float(), torch.from_numpy(clips), torch.from_numpy(targets), ["a", "b", "c"], 1.0
    )


def cross_entropy_left_out(head: PrototypicalHead, support: Support, temperature: float) -> float:
    """The definition, clip by clip."""
    means = torch.stack([support.z[support.clips == clip].mean(0) for clip in range(8)])
    losses = []
    others = [clip for clip in range(8) if clip != 3]  # the only clip of its class cannot be left out
    sure = (len(others) + 1) / (len(others) + 2)
    for clip in others:
        rest = [i for i in range(8) if i != clip]
        prototypes = torch.stack([means[[i for i in rest if support.targets[i] == c]].mean(0) for c in range(3)])
        of_windows = []
        for z in support.z[support.clips == clip]:
            if head.distance == "euclidean":
                logits = -(z - prototypes).square().sum(-1)
            else:
                logits = 10 * torch.nn.functional.cosine_similarity(z[None], prototypes)
            logp = torch.log_softmax(logits.double() / temperature, -1)
            target = torch.full((3,), (1 - sure) / 2, dtype=torch.float64)
            target[int(support.targets[clip])] = sure
            of_windows.append(-float(target @ logp))
        losses.append(np.mean(of_windows))
    return float(np.mean(losses))


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_temperature_is_the_best_for_clips_that_are_left_out(support: Support, distance: str) -> None:
    head = PrototypicalHead(distance)
    found = calibrated_temperature(head, support)
    best = minimize_scalar(
        lambda log_t: cross_entropy_left_out(head, support, np.exp(log_t)), bounds=(-5, 5), method="bounded"
    )
    assert np.log(found) == pytest.approx(best.x, abs=0.04)  # half a step of what is tried


def test_probabilities_do_not_depend_on_the_scale_of_the_embeddings(support: Support) -> None:
    head = PrototypicalHead()
    larger = support._replace(z=support.z * 100)
    assert calibrated_temperature(head, larger) == pytest.approx(1e4 * calibrated_temperature(head, support), rel=1e-3)


def test_examples_that_are_all_recognised_still_leave_some_doubt() -> None:
    z = torch.eye(2).repeat_interleave(5, 0) * 100 + 0.01 * torch.arange(20).reshape(10, 2)
    clear = Support(z, torch.arange(10), torch.arange(2).repeat_interleave(5), ["a", "b"], 1.0)
    head = PrototypicalHead()
    logits = head(clear.means(), clear.targets, z, clear.classes) / calibrated_temperature(head, clear)
    assert logits.softmax(-1).max(-1).values.numpy() == pytest.approx(11 / 12, abs=0.01)


def test_single_examples_leave_the_heads_own_scale() -> None:
    single = Support(torch.eye(3), torch.arange(3), torch.arange(3), ["a", "b", "c"], 1.0)
    assert calibrated_temperature(PrototypicalHead(), single) == 1.0


def test_probabilities_are_a_softmax_of_the_heads_logits(tones) -> None:
    encoder, head = ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8)), PrototypicalHead("cosine")
    support = embed_support(encoder, tones, window=0.2)
    recognizer = Recognizer(encoder, head, support, temperature=0.5)
    waves = torch.stack([tones.read(i)[:, :3200] for i in (0, 30, 100)])
    with torch.no_grad():
        logits = head(support.means(), support.targets, encoder(waves), support.classes)
    np.testing.assert_allclose(
        recognizer.probabilities(waves), (logits / 0.5).softmax(-1).numpy(), rtol=1e-4, atol=1e-6
    )
    assert recognizer.classes == tones.classes


def test_embeddings_without_whitening_are_standardised(tones) -> None:
    support = embed_support(MfccEncoder(), tones, window=0.2)
    waves = torch.stack([tones.read(i)[:, :3200] for i in range(0, 144, 11)])
    recognizer = Recognizer(MfccEncoder(), PrototypicalHead(), support, temperature=1.0)
    standardizer = Standardizer(support.z)
    z = support._replace(z=standardizer(support.z))
    logits = PrototypicalHead()(z.means(), z.targets, standardizer(MfccEncoder()(waves)), z.classes)
    np.testing.assert_allclose(recognizer.probabilities(waves), logits.softmax(-1).detach().numpy(), atol=1e-5)
    plain = Recognizer(MfccEncoder(), PrototypicalHead(), support, temperature=1.0, standardize=False)
    assert not np.allclose(plain.probabilities(waves), recognizer.probabilities(waves), atol=0.01)


def test_what_makes_no_sense_is_refused(support: Support) -> None:
    for temperature in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="temperature is .*; expected a positive number"):
            Recognizer(MfccEncoder(), PrototypicalHead(), support, temperature)
    broken = ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))
    torch.nn.init.constant_(broken.backbone.blocks[0].weight, float("nan"))
    support = support._replace(z=torch.zeros(15, broken.dim))
    recognizer = Recognizer(broken, PrototypicalHead(), support, 1.0)
    with pytest.raises(InputError, match="the encoder gives NaN or infinite embeddings"):
        recognizer.probabilities(torch.ones(2, 1, 16000))
