"""Interactive figures in one style: arrays in, plotly figure out.

Nothing here knows data sets, networks or training: every function takes plain arrays (or CPU or GPU
tensors) and returns a `plotly.graph_objects.Figure`. plotly, kaleido and umap-learn come with the
extra ``musicfsl[plots]`` and are imported when a function needs them.
"""

from musicfsl.plots.comparison import plot_comparison
from musicfsl.plots.cooccurrence import plot_cooccurrence
from musicfsl.plots.embeddings import plot_episode, project
from musicfsl.plots.hierarchy import plot_accuracy_by_height, plot_back_off
from musicfsl.plots.probabilities import plot_calibration, plot_precision_recall
from musicfsl.plots.recording_tags import plot_tag_grid, plot_tags
from musicfsl.plots.results import (
    plot_accuracy_over_shots,
    plot_accuracy_over_ways,
    plot_confusion,
)
from musicfsl.plots.save import save_figure
from musicfsl.plots.sound import AudioPlayer, SpectrogramWithSound
from musicfsl.plots.spectrogram import plot_spectrogram
from musicfsl.plots.style import MATPLOTLIB_STYLE, PALETTE, TEMPLATE, apply_style, class_colors, family_colors
from musicfsl.plots.tagging import plot_tag_report
from musicfsl.plots.taxonomy import plot_taxonomy
from musicfsl.plots.timeline import plot_timeline
from musicfsl.plots.training import plot_training
from musicfsl.plots.zeroshot import plot_joint_space, plot_seen_unseen

__all__ = [
    "MATPLOTLIB_STYLE",
    "PALETTE",
    "TEMPLATE",
    "AudioPlayer",
    "SpectrogramWithSound",
    "apply_style",
    "class_colors",
    "family_colors",
    "plot_accuracy_by_height",
    "plot_accuracy_over_shots",
    "plot_accuracy_over_ways",
    "plot_back_off",
    "plot_calibration",
    "plot_comparison",
    "plot_confusion",
    "plot_cooccurrence",
    "plot_episode",
    "plot_joint_space",
    "plot_precision_recall",
    "plot_seen_unseen",
    "plot_spectrogram",
    "plot_tag_grid",
    "plot_tag_report",
    "plot_tags",
    "plot_taxonomy",
    "plot_timeline",
    "plot_training",
    "project",
    "save_figure",
]
