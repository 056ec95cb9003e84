"""What a training step computes with exists on Apple's GPUs, its backward included.

torch comes with the table that says which operator has a kernel for which device (``native_functions.yaml``); MPS is
Apple's. Steps are traced on the processor, forward and backward, and each operator is looked up there.

Known from public reports, whatever the table of the installed release says: the backward of cdist has been missing in
all releases up to 2.11 (pytorch/pytorch#183079 adds it later), pdist both ways (#195268), and the backward of unfold,
col2im, for long (#151820). What users miss is collected in #77764 and #141287.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
import torchgen
import yaml
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from musicfsl.backbones import AstEncoder, ClapEncoder, ConvEncoder
from musicfsl.heads import HEADS, Head
from musicfsl.heads.multilabel import MultiLabelHead

REPORTED = {"_cdist_forward", "_cdist_backward", "_pdist_forward", "_pdist_backward", "col2im"}

CLASSES = ["Violin", "Cello", "Oboe"]
DIM = 8
#: Arguments that heads need, or that make everything which they can learn be learned.
ARGUMENTS: dict[str, Any] = {
    "taxonomy": {"strings": CLASSES[:2], "winds": CLASSES[2:]},
    "dim": DIM,
    "learn_temperature": True,
    "learn_scales": True,
}
#: Heads that nothing is trained through.
UNTRAINED: set[str] = set()


def head_cases() -> Iterator[Any]:
    """Each head with each distance that it has."""
    for name, head in HEADS.items():
        accepted = inspect.signature(head).parameters
        given = {argument: value for argument, value in ARGUMENTS.items() if argument in accepted}
        if "distance" not in accepted:
            yield pytest.param(name, given, id=name)
            continue
        for distance in get_args(get_type_hints(head.__init__)["distance"]):
            yield pytest.param(name, {**given, "distance": distance}, id=f"{name}, {distance}")


class Trace(TorchDispatchMode):
    """Collects the operators that run, autograd's own included."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__.split(".")[0] in written_in_python():
            with self:
                return torch._decomp.decomposition_table[func](*args, **(kwargs or {}))
        self.operators.add(func.__name__)  # "mm.default"
        return func(*args, **(kwargs or {}))


def trace(step: Callable[[], Tensor]) -> set[str]:
    """Operators of a step and of its backward."""
    # Apple's GPUs compute attention with gradients as products and a softmax; the processor has a kernel of its own.
    with sdpa_kernel(SDPBackend.MATH), Trace() as traced:
        loss = step()
        if loss.requires_grad:
            loss.backward()
    return traced.operators


@cache
def written_in_python() -> set[str]:
    """Operators that torch makes of others for Apple's GPUs when it is imported: group normalisation.

    Without that its backward would be missing there (pytorch/pytorch#88331, #183020).
    """
    return set(re.findall(r'\.impl\("(\w+)"', inspect.getsource(torch.backends.mps)))


@cache
def without_apple_kernel() -> set[str]:
    """Operators, as the trace names them, that torch's table has no kernel for on Apple's GPUs."""
    table = Path(torchgen.__file__).parent / "packaged" / "ATen" / "native" / "native_functions.yaml"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    rows = {row["func"].split("(")[0]: row for row in yaml.load(table.read_text(), Loader=loader)}  # noqa: S506
    missing = set()
    for name, row in rows.items():
        kernels = {**row.get("dispatch", {}), **rows.get(row.get("structured_delegate"), {}).get("dispatch", {})}
        devices = {device.strip() for key in kernels for device in key.split(",")}
        # A composite is made of other operators; so is one without a table of its own.
        if devices and not any(device == "MPS" or device.startswith("Composite") for device in devices):
            missing.add(name if "." in name else f"{name}.default")
    return missing


def missing_of(operators: set[str]) -> set[str]:
    return {name for name in operators if name in without_apple_kernel() or name.split(".")[0] in REPORTED}


def episode(head: Head, embed: Callable[[Tensor], Tensor], items: Tensor) -> Callable[[], Tensor]:
    """An episode of three ways, one support and two queries each, as a step."""
    support_targets, query_targets = torch.arange(3), torch.arange(3).repeat_interleave(2)
    if isinstance(head, MultiLabelHead):
        support_targets, query_targets = (nn.functional.one_hot(t, 3) for t in (support_targets, query_targets))

    def step() -> Tensor:
        z = embed(items)
        return head.episode_loss(z[:3], support_targets, z[3:], query_targets, CLASSES)[0]

    return step


@pytest.mark.parametrize(("name", "settings"), list(head_cases()))
def test_heads(name: str, settings: dict[str, Any]) -> None:
    head = HEADS[name](**settings)
    z = torch.randn(9, DIM, generator=torch.Generator().manual_seed(0)).requires_grad_()
    operators = trace(episode(head, lambda items: items * 1.0, z))
    assert "mm.default" in operators or "bmm.default" in operators
    if name not in UNTRAINED:
        assert z.grad is not None and torch.isfinite(z.grad).all()
        assert all(p.grad is not None for p in head.parameters() if p.requires_grad)
    assert not missing_of(operators)


def tiny_ast(**arguments: Any) -> AstEncoder:
    return AstEncoder.from_config(hidden_size=16, n_layers=2, n_heads=2, max_frames=64, **arguments)


@pytest.mark.parametrize(
    "encoder",
    [
        pytest.param(lambda: ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8)), id="conv"),
        pytest.param(tiny_ast, id="ast"),
        pytest.param(lambda: tiny_ast(gradient_checkpointing=True), id="ast, checkpointed"),
        pytest.param(lambda: tiny_ast(trainable_blocks=1, pooling="mean"), id="ast, last block"),
        pytest.param(
            lambda: ClapEncoder.from_config(width=8, depths=(2, 1, 1, 1), n_heads=(1, 1, 2, 2), dim=16), id="clap"
        ),
    ],
)
def test_encoders(encoder: Callable[[], Any]) -> None:
    network = encoder().train()
    features = torch.randn(9, network.front_end.n_features, 20, generator=torch.Generator().manual_seed(0))
    operators = trace(episode(HEADS["prototypical"](), network, features))
    assert {"convolution.default", "mm.default"} <= operators
    assert any(name.startswith("convolution_backward") for name in operators) or network.name == "ast"
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)
    assert not missing_of(operators)


class TestTheTraceWouldNotice:
    def test_cdist(self) -> None:
        head = HEADS["prototypical"]()
        head.score = lambda state, query_z: -torch.cdist(query_z, state.prototypes)
        z = torch.randn(9, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        found = {name.split(".")[0] for name in missing_of(trace(episode(head, lambda items: items * 1.0, z)))}
        assert found == {"_cdist_forward", "_cdist_backward"}

    def test_an_operator_that_the_table_lacks(self) -> None:
        z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
        found = trace(lambda: torch.linalg.eigvalsh(z.T @ z).sum())
        assert {name.split(".")[0] for name in found & without_apple_kernel()} == {"_linalg_eigh"}

    def test_what_the_table_has_is_not_counted(self) -> None:
        """Operators that Apple's GPUs are known to train with, of each kind of row in the table."""
        assert len(without_apple_kernel()) > 100
        everyday = {
            "mm",
            "convolution",
            "convolution_backward",
            "native_layer_norm_backward",
            "_softmax",
            "relu",
            "add",
        }
        assert not {f"{name}.default" for name in everyday} & without_apple_kernel()
        assert {"_pdist_backward.default", "_scaled_dot_product_flash_attention_for_cpu.default"} <= (
            without_apple_kernel()
        )
