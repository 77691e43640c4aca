"""`relmill convert-rlipv2`: a published checkpoint of RLIPv2 as a network of ours."""

import typing
from dataclasses import dataclass
from pathlib import Path

from schemas import UserError
from stages.optional import require_torch

_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was read and written, for the terminal."""

    checkpoint: Path
    output: Path
    network: str
    num_tensors: int
    num_values: int
    unused: tuple[str, ...]
    """Published tensors that have no place in the network."""

    def __str__(self) -> str:
        lines = [
            f"{self.checkpoint}: {self.network}",
            f"{self.output}: {self.num_tensors} tensors, {self.num_values / 1e6:.1f} million values",
        ]
        if self.unused:
            some = ", ".join(self.unused[:_SHOWN]) + (", ..." if len(self.unused) > _SHOWN else "")
            lines.append(f"not used: {len(self.unused)} tensors, which are second names or change no output: {some}")
        return "\n".join(lines)


def convert_rlipv2(
    checkpoint: Path,
    output: Path,
    *,
    tokenizer: str = "roberta-base",
    gate: str | None = None,
    published: bool = False,
) -> Conversion:
    """Write a published checkpoint as safetensors and configuration.

    Args:
        checkpoint: a `.pth` of RLIPv2-ParSeD, RLIPv2-ParSeDA or the Relation Tagger.
        output: folder to make.
        tokenizer: where the network's texts are cut into tokens: a name on the hub.
        gate: `scalar` or `channel`; None is what was published for that network.
        published: keep the published network's faults, for parity; else they are repaired.

    Raises:
        UserError: if PyTorch is missing, or the gate is none.
        BadInputError: if it is no such checkpoint; names the tensors that are unknown or missing.
        StorageError: if the folder cannot be written.
    """
    require_torch("convert-rlipv2")
    from stages.alif.build import build_model
    from stages.alif.checkpoint import fill, save_checkpoint
    from stages.alif.convert import convert, read_published
    from stages.alif.fusion import Gate

    if gate is not None and gate not in typing.get_args(Gate):
        raise UserError(f"--gate {gate}: choose {' or '.join(typing.get_args(Gate))}")
    values = read_published(checkpoint)
    converted = convert(values, where=str(checkpoint), gate=typing.cast(Gate | None, gate), published=published)
    # Filling a network is the proof that nothing is missing and all shapes fit.
    fill(build_model(converted.config), converted.state, where=str(checkpoint))
    save_checkpoint(output, converted.config, converted.state, tokenizer=tokenizer)
    config = converted.config
    names = {"pairs": "Relation Tagger", "parsed": "RLIPv2-ParSeD", "parseda": "RLIPv2-ParSeDA"}
    return Conversion(
        checkpoint=checkpoint,
        output=output,
        network=(
            f"{names[config.decoding]}, {config.backbone.kind}, {config.text.kind} with {config.text.num_layers} "
            f"layers, gate {config.encoder.gate}, {'as published' if published else 'repaired'}"
        ),
        num_tensors=len(converted.state),
        num_values=sum(tensor.numel() for tensor in converted.state.values()),
        unused=converted.unused,
    )
