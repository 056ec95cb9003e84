from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from musicfsl.annotation import embed_support, open_support
from musicfsl.backbones import ConvEncoder, MfccEncoder
from musicfsl.checkpoints import load_encoder, save_encoder
from musicfsl.classifier import UNKNOWN, FewShotClassifier, Neighbour
from musicfsl.classifier import listening as listening_module
from musicfsl.classifier.listening import listen
from musicfsl.classifier.methods import METHODS
from musicfsl.classifier.sounds import sounds_of
from musicfsl.datasets import AudioFolder
from musicfsl.errors import CheckpointError, InputError
from musicfsl.heads import HEADS, PrototypicalHead, RelationHead

Note = Callable[..., NDArray[np.float32]]


@pytest.fixture
def classifier(folder: Path) -> FewShotClassifier:
    return FewShotClassifier("mfcc").fit(folder)


class TestPredicting:
    def test_three_lines(self, folder: Path, make_note: Note, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "what is this.wav", make_note("oboe", 2.0, 99, 48000), 48000)
        classifier = FewShotClassifier("mfcc").fit(folder)
        probabilities = classifier.predict_proba(tmp_path / "what is this.wav")
        assert next(iter(probabilities)) == "oboe"
        assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)
        assert sum(probabilities.values()) == pytest.approx(1)
        assert classifier.classes == ["flute", "harp", "oboe"]
        assert classifier.counts == {"flute": 3, "harp": 4, "oboe": 5}

    @pytest.mark.parametrize("method", METHODS)
    def test_every_method(self, method: str, make_note: Note) -> None:
        examples = {name: [make_note(name, seed=seed) for seed in range(4)] for name in ("flute", "harp", "oboe")}
        classifier = FewShotClassifier("mfcc", method, unknown=False).fit(examples)
        queries = [make_note(name, seed=seed) for seed in (70, 71) for name in ("flute", "harp", "oboe")]
        assert classifier.predict(queries) == ["flute", "harp", "oboe"] * 2

    def test_one_sound_gives_one_answer_and_a_list_a_list(self, classifier: FewShotClassifier, make_note: Note) -> None:
        wave = make_note("harp", seed=80)
        assert classifier.predict(wave) == "harp"
        assert classifier.predict([wave]) == ["harp"]
        assert classifier.predict([]) == []
        assert isinstance(classifier.explain(wave)[0], Neighbour)
        assert len(classifier.explain([wave, wave], n_nearest=2)[1]) == 2

    def test_it_does_not_matter_how_a_sound_is_given(
        self, classifier: FewShotClassifier, make_note: Note, tmp_path: Path
    ) -> None:
        wave = make_note("flute", 1.3, 81, 44100)
        soundfile.write(tmp_path / "x.wav", wave, 44100, subtype="FLOAT")
        stereo = np.stack([1.5 * wave, 0.5 * wave])
        ways = [str(tmp_path / "x.wav"), (wave, 44100), (torch.from_numpy(wave), 44100), (stereo, 44100)]
        expected = classifier.predict_proba(tmp_path / "x.wav")
        for answer in classifier.predict_proba(ways):
            assert answer == pytest.approx(expected, abs=1e-4)
        whole_numbers = np.round(wave * 32768).astype(np.int16)
        assert classifier.predict_proba((whole_numbers, 44100)) == pytest.approx(expected, abs=0.02)

    def test_a_bare_array_is_at_the_encoders_rate(self, classifier: FewShotClassifier, make_note: Note) -> None:
        wave = make_note("flute", seed=82)
        assert classifier.predict_proba(wave) == classifier.predict_proba((wave, 16000))

    def test_a_sound_says_the_same_alone_and_among_others(self, classifier: FewShotClassifier, make_note: Note) -> None:
        waves = [make_note(name, 0.3 + 0.03 * i, i) for i, name in enumerate(["oboe", "flute", "harp"] * 30)]
        assert classifier.predict_proba(waves)[44] == pytest.approx(classifier.predict_proba(waves[44]), abs=1e-5)

    def test_the_nearest_examples_explain(self, classifier: FewShotClassifier, folder: Path) -> None:
        nearest = classifier.explain(folder / "harp" / "2.wav")
        assert nearest[0] == Neighbour("harp/2.wav", "harp", pytest.approx(1, abs=1e-5))
        assert [n.similarity for n in nearest] == sorted([n.similarity for n in nearest], reverse=True)


class TestUnknown:
    def test_what_is_far_from_all_examples(self, classifier: FewShotClassifier, make_note: Note) -> None:
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000)
        answer = classifier.classify(noise)
        assert answer.label == UNKNOWN
        assert answer.distance > classifier.unknown_threshold
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert UNKNOWN not in answer.probabilities

    def test_can_be_switched_off_or_set(self, folder: Path, make_note: Note) -> None:
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000)
        never = FewShotClassifier("mfcc", unknown=False).fit(folder)
        assert never.predict(noise) in never.classes
        assert never.unknown_threshold is None
        always = FewShotClassifier("mfcc", unknown=0.0).fit(folder)
        assert always.predict(make_note("harp", seed=3)) == UNKNOWN

    def test_one_example_a_class_works(self, make_note: Note) -> None:
        classifier = FewShotClassifier("mfcc").fit({name: make_note(name) for name in ("flute", "harp", "oboe")})
        assert classifier.classify(make_note("oboe", seed=5)).probabilities["oboe"] > 0.4
        assert 0 < classifier.unknown_threshold < 2


class TestLearning:
    def test_embeddings_are_those_of_training_and_annotation(self, folder: Path) -> None:
        for encoder in (ConvEncoder(), MfccEncoder()):
            support = embed_support(encoder, open_support(folder, encoder), window=0.7)
            sounds = sounds_of(AudioFolder(folder, duration=None, sample_rate=encoder.sample_rate))
            z = listen(sounds, encoder, window=0.7, max_windows=100).z
            torch.testing.assert_close(z, support.means(), atol=1e-5, rtol=1e-4)

    def test_windows_of_a_very_long_recording_are_read_where_they_lie(
        self, make_note: Note, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, encoder = tmp_path / "long.wav", MfccEncoder()
        soundfile.write(
            path, np.concatenate([make_note("harp", 5, 1), np.zeros(32000), make_note("harp", 5, 1)]), 16000
        )
        whole = listen(sounds_of(path), encoder, 1.0, 23).z
        monkeypatch.setattr(listening_module, "_LONGEST_DECODED", 2.0)
        by_windows = listen(sounds_of(path), encoder, 1.0, 23).z
        cosine = torch.nn.functional.cosine_similarity(whole - whole.mean(), by_windows - by_windows.mean())
        assert float(cosine) > 0.95  # silent windows count in the former only

    def test_windows_of_a_very_long_recording_reach_from_its_begin_to_its_end(
        self, make_note: Note, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, offsets = tmp_path / "long.wav", []
        soundfile.write(path, make_note("harp", seconds=4.1), 16000)
        monkeypatch.setattr(listening_module, "_LONGEST_DECODED", 2.0)
        read = listening_module.load_audio
        monkeypatch.setattr(listening_module, "load_audio", lambda *where: offsets.append(where[2]) or read(*where))
        listen(sounds_of(path), MfccEncoder(), 1.0, 100)
        assert offsets[0] == 0 and offsets[-1] == pytest.approx(3.1, abs=1e-3)
        assert max(np.diff(offsets)) <= 0.5  # neighbours overlap by half at least

    def test_a_folder_a_mapping_and_a_data_set_teach_the_same(self, folder: Path, make_note: Note) -> None:
        mapping = {name: [folder / name] for name in ("oboe", "flute", "harp")}
        ways = [folder, mapping, AudioFolder(folder, duration=None)]
        answers = [FewShotClassifier("mfcc").fit(way).predict_proba(make_note("flute", seed=4)) for way in ways]
        assert answers[1] == pytest.approx(answers[0]) and answers[2] == pytest.approx(answers[0])

    def test_groups_in_a_folder_are_those_of_a_data_set(self, tmp_path: Path, make_note: Note) -> None:
        root = tmp_path / "sounds"
        for k, name in enumerate(("flute", "oboe")):
            for day, noise in (("monday", 0.0), ("friday", 0.3)):
                (root / name / day).mkdir(parents=True)
                for seed in range(3 * k, 3 * k + 3):
                    wave = make_note(name, seed=seed) + noise * np.random.default_rng(seed).normal(size=12800)
                    soundfile.write(root / name / day / f"{seed}.wav", np.clip(wave, -1, 1), 16000)
        pattern = r"/(\w+)/"
        apart = FewShotClassifier("mfcc").fit(root, group_pattern=pattern)
        known = FewShotClassifier("mfcc").fit(AudioFolder(root, duration=None, group_pattern=pattern))
        assert apart.unknown_threshold == pytest.approx(known.unknown_threshold)
        # another day is farther away than another take
        alone = FewShotClassifier("mfcc").fit(root)
        assert apart.unknown_threshold > 1.5 * alone.unknown_threshold

        added = FewShotClassifier("mfcc", unknown=False)
        for day in ("friday", "monday"):
            added.add("flute", root / "flute" / day, group=day)
            added.add("oboe", root / "oboe" / day, group=day)
        added.unknown = True
        assert added.unknown_threshold == pytest.approx(apart.unknown_threshold)

    def test_adding_is_as_if_all_had_been_there_and_embeds_only_what_is_new(
        self, classifier: FewShotClassifier, folder: Path, make_note: Note, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        noise = [np.random.default_rng(seed).uniform(-0.5, 0.5, 9000) for seed in range(3)]
        calls = []
        forward = MfccEncoder.forward
        monkeypatch.setattr(MfccEncoder, "forward", lambda self, x: calls.append(len(x)) or forward(self, x))
        classifier.add("noise", noise)
        assert sum(calls) == 3  # half a second each: one window
        classifier.add("harp", make_note("harp", seed=44))
        together = FewShotClassifier("mfcc").fit(
            {
                "flute": folder / "flute",
                "harp": [folder / "harp", make_note("harp", seed=44)],
                "oboe": folder / "oboe",
                "noise": noise,
            }
        )
        query = make_note("oboe", seed=6)
        assert classifier.classes == together.classes == ["flute", "harp", "noise", "oboe"]
        assert classifier.predict_proba(query) == pytest.approx(together.predict_proba(query), abs=1e-5)
        assert classifier.unknown_threshold == pytest.approx(together.unknown_threshold, abs=1e-5)
        assert classifier.predict(noise[0][:8000]) == "noise"

    def test_classes_can_be_added_one_by_one(self, make_note: Note) -> None:
        classifier = FewShotClassifier("mfcc")
        with pytest.raises(InputError, match="knows no classes yet; call fit"):
            classifier.predict(make_note("harp"))
        classifier.add("harp", make_note("harp"))
        with pytest.raises(InputError, match=r"one class only \('harp'\)"):
            classifier.predict(make_note("harp"))
        assert classifier.add("flute", make_note("flute")).predict(make_note("flute", seed=2)) == "flute"

    def test_fit_forgets_and_a_fit_that_fails_does_not(self, classifier: FewShotClassifier, make_note: Note) -> None:
        with pytest.raises(InputError, match="one class only"):
            classifier.fit({"oud": make_note("harp")})
        assert classifier.classes == ["flute", "harp", "oboe"]
        assert classifier.fit({"a": make_note("harp"), "b": make_note("oboe")}).classes == ["a", "b"]

    def test_copies_of_augmentation_are_no_examples(self, make_tones, monkeypatch: pytest.MonkeyPatch) -> None:
        tones = make_tones(n_classes=2, n_clips=4)
        tones.is_copy = np.array([False, True] * 4)
        assert FewShotClassifier("mfcc").fit(tones).counts == {"tones-0": 2, "tones-1": 2}

    def test_the_encoder_is_left_as_it_was(self, folder: Path) -> None:
        encoder = ConvEncoder().train()
        FewShotClassifier(encoder).fit(folder)
        assert encoder.training

    def test_a_trained_method_comes_with_its_encoder(self, folder: Path, tmp_path: Path, make_note: Note) -> None:
        encoder = ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))
        head = RelationHead(dim=encoder.dim, seed=5)
        path = save_encoder(encoder, tmp_path / "e.safetensors", head=head)
        classifier = FewShotClassifier(path, "relation").fit(folder)
        given = FewShotClassifier(encoder, head).fit(folder)
        query = make_note("harp", seed=9)
        assert classifier.predict_proba(query) == pytest.approx(given.predict_proba(query))
        with pytest.raises(InputError, match="'relation' needs settings or weights of its own"):
            FewShotClassifier("mfcc", "relation")

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"method": "prototypcal"}, "no method 'prototypcal'. Did you mean 'prototypical'"),
            ({"method": HEADS["binary_prototypes"]()}, "decides on each of several labels"),
            ({"window": 0}, "window is 0"),
            ({"max_windows": 0}, "max_windows 0"),
            ({"unknown": 3.0}, "unknown is 3.0"),
            ({"false_rejections": 1.0}, "false_rejections is 1.0"),
            ({"temperature": 0.0}, "temperature is 0.0"),
        ],
    )
    def test_settings_out_of_range(self, settings, message: str) -> None:
        with pytest.raises(InputError, match=message):
            FewShotClassifier("mfcc", **settings)


class TestSaving:
    @pytest.mark.parametrize("encoder", ["mfcc", ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8), seed=3)])
    def test_what_was_saved_says_the_same(self, encoder, folder: Path, tmp_path: Path, make_note: Note) -> None:
        classifier = FewShotClassifier(encoder, PrototypicalHead("cosine"), window=0.5).fit(folder)
        path = classifier.save(tmp_path / "mine.safetensors")
        loaded = FewShotClassifier.load(path)
        query = make_note("oboe", seed=12)
        assert loaded.classify(query, 4) == classifier.classify(query, 4)
        assert loaded.unknown_threshold == classifier.unknown_threshold
        assert loaded.add("noise", np.random.default_rng(0).uniform(-0.5, 0.5, 16000)).classes[1:3] == ["harp", "noise"]
        z = torch.zeros(1, 1, 16000)
        torch.testing.assert_close(load_encoder(path)(z), classifier.encoder(z))

    def test_an_encoder_can_be_left_out(self, folder: Path, tmp_path: Path, make_note: Note) -> None:
        by_name = FewShotClassifier("mfcc").fit(folder)
        loaded = FewShotClassifier.load(by_name.save(tmp_path / "small.safetensors", include_encoder=False))
        assert loaded.classify(make_note("harp")) == by_name.classify(make_note("harp"))
        given = FewShotClassifier(ConvEncoder(seed=1)).fit(folder)
        with pytest.raises(InputError, match="has no name by which it could be opened again"):
            given.save(tmp_path / "x.safetensors", include_encoder=False)

    def test_other_weights_are_not_taken_for_the_encoders(self, folder: Path, tmp_path: Path) -> None:
        path = FewShotClassifier(ConvEncoder(seed=1)).fit(folder).save(tmp_path / "c.safetensors")
        assert FewShotClassifier.load(path, ConvEncoder(seed=1)).classes
        with pytest.raises(CheckpointError, match="other weights of the encoder"):
            FewShotClassifier.load(path, ConvEncoder(seed=2))

    def test_files_that_are_no_classifier(self, folder: Path, tmp_path: Path) -> None:
        encoder = save_encoder(MfccEncoder(), tmp_path / "e.safetensors")
        with pytest.raises(CheckpointError, match="is no classifier; give a file that FewShotClassifier.save wrote"):
            FewShotClassifier.load(encoder)
        with pytest.raises(CheckpointError, match="does not exist"):
            FewShotClassifier.load(tmp_path / "none.safetensors")
        with pytest.raises(InputError, match="knows no classes yet"):
            FewShotClassifier("mfcc").save(tmp_path / "empty.safetensors")
        path = FewShotClassifier("mfcc").fit(folder).save(tmp_path / "c.safetensors")
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(CheckpointError, match="damaged"):
            FewShotClassifier.load(path)
