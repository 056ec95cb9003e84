from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger

from musicfsl.errors import InputError
from musicfsl.training import WatchValidation
from musicfsl.training.learner import EpisodicLearner


@pytest.fixture
def fit(make_learner, make_data, make_trainer, tmp_path: Path):
    """Trains for some epochs, watched; gives the log's folder and the learner."""

    def run(epochs: int = 2, **arguments) -> tuple[Path, EpisodicLearner, pl.Trainer]:
        logger = TensorBoardLogger(tmp_path, name="log")
        learner = make_learner()
        trainer = make_trainer(
            max_epochs=epochs, logger=logger, log_every_n_steps=1, callbacks=[WatchValidation(**arguments)],
            enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(learner, datamodule=make_data())
        logger.experiment.flush()
        return Path(logger.log_dir), learner, trainer

    return run


def events(folder: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), {"images": 0, "scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


def test_the_log_holds_curves_confusion_and_labelled_embeddings(fit) -> None:
    pytest.importorskip("matplotlib", reason="comes with musicfsl[plots]")
    folder, learner, trainer = fit()
    part = trainer.datamodule.part("val")
    log = events(folder)
    assert {"train/loss", "train/accuracy", "val/accuracy", "val/ci95"} <= set(log.Tags()["scalars"])
    assert [event.step for event in log.Images("val/confusion")] == [6, 12]
    assert log.Images("val/confusion")[-1].width > 200

    written = folder / "00012" / "val"
    header, *rows = table(written / "metadata.tsv")
    assert header == ["class", "group", "clip"]
    assert [row[0] for row in rows] == [part.classes[c] for c in part.targets]
    assert [row[1] for row in rows] == [str(group) for group in part.groups]
    assert [row[2] for row in rows] == [part.item_name(i) for i in range(len(part))]
    z = np.array(table(written / "tensors.tsv"), dtype=np.float64)
    np.testing.assert_allclose(z, learner.clip_embeddings.numpy(), atol=5.1e-5)
    assert (written / "sprite.png").stat().st_size > 1000
    # What was written is what was validated.
    again = trainer.datamodule.evaluate("val", learner.clip_embeddings, learner.head)
    assert again.mean == pytest.approx(trainer.callback_metrics["val/accuracy"].item())
    config = (folder / "projector_config.pbtxt").read_text()
    assert config.count("00006/val/tensors.tsv") == config.count("00012/val/metadata.tsv") == 1


def test_every_so_many_epochs_and_only_some_clips(fit) -> None:
    folder, _, trainer = fit(epochs=5, every_n_epochs=2, n_clips=10, pictures=False)
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["00012", "00024"]
    assert not list(folder.rglob("sprite.png"))
    rows = table(folder / "00012" / "val" / "metadata.tsv")[1:]
    assert len(rows) == 10
    classes = trainer.datamodule.part("val").classes
    assert [row[0] for row in rows] == [classes[0]] * 5 + [classes[1]] * 5
    assert len(events(folder).Images("val/confusion")) == 2


def test_what_is_switched_off_is_not_written(fit) -> None:
    folder, *_ = fit(epochs=1, confusion=False, n_clips=0)
    assert events(folder).Tags()["images"] == []
    assert not (folder / "projector_config.pbtxt").exists()


def test_without_matplotlib_the_confusion_is_a_table(fit, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, module, None)
    folder, learner, _ = fit(epochs=1)
    log = events(folder)
    assert log.Tags()["images"] == []
    (event,) = log.Tensors("val/confusion/text_summary")
    header, _, *rows = event.tensor_proto.string_val[0].decode().splitlines()
    names = learner.report.class_names
    assert [cell.strip() for cell in header.split("|")[2:-1]] == names
    shares = learner.report.confusion / learner.report.confusion.sum(axis=1, keepdims=True)
    for row, name, expected in zip(rows, names, shares, strict=True):
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        assert cells[0] == name
        assert [float(cell) for cell in cells[1:]] == pytest.approx(expected.tolist(), abs=0.0051)


def test_a_validation_of_its_own_is_watched(make_learner, make_data, make_trainer, tmp_path: Path) -> None:
    learner, data = make_learner(), make_data()
    logger = TensorBoardLogger(tmp_path, name="log")
    make_trainer(logger=logger, callbacks=[WatchValidation(every_n_epochs=7)]).validate(
        learner, datamodule=data, verbose=False
    )
    assert (Path(logger.log_dir) / "00000" / "val" / "tensors.tsv").is_file()


def test_no_log_no_work_and_training_stays_the_same(fit, make_learner, make_data, make_trainer) -> None:
    _, watched, _ = fit(epochs=1)
    plain = make_learner()
    trainer = make_trainer(max_epochs=1, logger=False, callbacks=[WatchValidation()], enable_checkpointing=False)
    trainer.fit(plain, datamodule=make_data())
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name


def test_a_check_before_training_and_a_part_of_a_validation_leave_no_result(
    make_learner, make_data, make_trainer, tmp_path: Path
) -> None:
    logger = TensorBoardLogger(tmp_path, name="log")
    trainer = make_trainer(
        max_epochs=1, logger=logger, log_every_n_steps=1, num_sanity_val_steps=1, limit_val_batches=1,
        callbacks=[WatchValidation()],
        enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(make_learner(), datamodule=make_data(max_windows=50))
    assert not list(Path(logger.log_dir).rglob("tensors.tsv"))


def test_recordings_are_named_by_their_files(make_learner, make_data, make_trainer, tmp_path: Path) -> None:
    import soundfile

    rng = np.random.default_rng(0)
    for c in range(7):
        (tmp_path / "sounds" / f"class {c}").mkdir(parents=True)
        for i in range(6):
            wave = np.sin(2 * np.pi * rng.uniform(150, 300) * (c + 1) * np.arange(6000) / 16000)
            soundfile.write(tmp_path / "sounds" / f"class {c}" / f"{i}.wav", 0.3 * wave, 16000)
    logger = TensorBoardLogger(tmp_path, name="log")
    trainer = make_trainer(
        max_epochs=1, logger=logger, log_every_n_steps=1, callbacks=[WatchValidation()], enable_checkpointing=False
    )
    trainer.fit(make_learner(), datamodule=make_data(str(tmp_path / "sounds"), eval_n_query=3))
    (path,) = Path(logger.log_dir).rglob("metadata.tsv")
    for name, group, clip in table(path)[1:]:
        assert Path(clip).parent.name == name
        assert Path(clip).is_file()
        assert group == ""


def test_other_modules_and_numbers_out_of_range_are_refused(make_trainer) -> None:
    class Other(pl.LightningModule):
        def configure_optimizers(self):
            return None

        def training_step(self, *_):
            return None

    with pytest.raises(InputError, match="but Other is trained; take it out of the callbacks"):
        make_trainer(callbacks=[WatchValidation()]).fit(Other(), [[torch.zeros(1)]])
    with pytest.raises(InputError, match="every_n_epochs is 0"):
        WatchValidation(every_n_epochs=0)
    with pytest.raises(InputError, match="n_clips -1"):
        WatchValidation(n_clips=-1)
