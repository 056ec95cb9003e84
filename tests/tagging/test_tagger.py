from __future__ import annotations

import pytest
import torch

from musicfsl.backbones import ConvEncoder
from musicfsl.errors import InputError
from musicfsl.tagging import Tagger


def test_logits_are_one_linear_layer_on_the_embedding(tagger: Tagger) -> None:
    x = torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(1))
    expected = tagger.encoder(x) @ tagger.classifier.weight.T + tagger.classifier.bias
    torch.testing.assert_close(tagger(x), expected)
    torch.testing.assert_close(tagger.probabilities(x), 1 / (1 + torch.exp(-expected)))
    torch.testing.assert_close(tagger(tagger.encoder.front_end(x)), expected)  # features are taken too
    assert tagger.thresholds.tolist() == pytest.approx([0.6] * 3)
    assert tagger.tuned_thresholds is None


def test_embeddings_are_whitened_in_training_as_afterwards(tagger: Tagger) -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(12, 1, 4000, generator=generator)
    tagger.encoder.whitening.fit(tagger.encoder.raw(x).detach(), torch.arange(12) % 3)
    expected = tagger(x)
    torch.testing.assert_close(tagger.train()(x), expected)
    assert tagger.encoder.whitening.training  # its mode is put back


def test_first_weights_and_dropout_come_from_the_seed() -> None:
    a, b, c = (Tagger(ConvEncoder(), ["x", "y"], seed=seed, dropout=0.5) for seed in (0, 0, 1))
    assert torch.equal(a.classifier.weight, b.classifier.weight)
    assert not torch.equal(a.classifier.weight, c.classifier.weight)
    x = torch.randn(2, 1, 16000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(a(x), b(x))
    assert not torch.equal(a(x), a(x))  # another mask every time
    assert torch.equal(a.eval()(x), a(x))


@pytest.mark.parametrize(
    ("classes", "settings", "message"),
    [
        (["a"], {}, "two names or more"),
        (["a", "a"], {}, "none of them twice"),
        ("ab", {}, "expected a list"),
        (["a", "b"], {"dropout": 1.0}, "dropout is 1"),
        (["a", "b"], {"duration": 0.0}, "duration is 0"),
    ],
)
def test_mistakes(classes, settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Tagger(ConvEncoder(), classes, **settings)
