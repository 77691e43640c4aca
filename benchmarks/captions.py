"""BLIP's nucleus samples as the published script draws them, and as the caption stage does, side by side.

    python benchmarks/captions.py [--size small] [--images 2] [--per-image 10] [--rounds 2]

The weights are random, of BLIP-base's decoder (12 layers, width 768) and, by `--size`, of a vision tower: `small` is
ViT-B/16 at 224 px, `base` at 384 px, `large` ViT-L/16 at 384 px, RLIPv2's captioner. Both ways sample the same number
of captions of the same length from the same network, on one thread, in float32, or on a GPU in bfloat16.

published: for each of a picture's samples the whole model is called, vision tower included.
ours: `BlipModel` of the caption stage. The tower is run once a picture, the decoder's keys and values of its patches
are projected once a picture, all samples of a batch are decoded together; log-probabilities come along.

The floor is what nobody can leave out: the tower once a picture.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    GenerationConfig,
)

from schemas.job import BlipCaptions
from stages.caption.blip_model import BlipModel
from stages.caption.nucleus import uniform_numbers

TOWERS = {
    "small": {"image_size": 224, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12},
    "base": {"image_size": 384, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12},
    "large": {"image_size": 384, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24},
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]


def save_blip(folder: Path, size: str) -> None:
    """A BLIP with random weights and a vocabulary as long as BLIP's, that never ends a caption before its time."""
    words = ["a", "picture", "of", *(f"word{number}" for number in range(30_515))]
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *words]), encoding="utf-8")
    vision = {**TOWERS[size], "num_attention_heads": TOWERS[size]["hidden_size"] // 64}
    text = {
        "vocab_size": len(SPECIAL) + len(words),
        "encoder_hidden_size": vision["hidden_size"],
        "pad_token_id": 0,
        "bos_token_id": 5,
        "eos_token_id": 3,
        "sep_token_id": 3,
    }
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[: len(SPECIAL)] = -1e4
    model.save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    side = TOWERS[size]["image_size"]
    BlipImageProcessorPil(size={"height": side, "width": side}).save_pretrained(folder)


def as_published(model: BlipModel, pictures: list[torch.Tensor], prompt: torch.Tensor, job: BlipCaptions) -> int:
    """Sample every caption by a call of the whole model; the number of captions."""
    settings = GenerationConfig(
        do_sample=True,
        top_p=job.top_p,
        repetition_penalty=job.repetition_penalty,
        min_length=job.min_length,
        max_length=job.max_length,
        eos_token_id=3,
        pad_token_id=0,
    )
    device = next(model.network.parameters()).device
    pixels = torch.stack(pictures).to(device)
    count = 0
    with torch.inference_mode():
        for _ in range(job.per_image):
            embeds = model.network.vision_model(pixel_values=pixels).last_hidden_state
            model.network.text_decoder.generate(
                input_ids=prompt.expand(len(pictures), -1).to(device),
                encoder_hidden_states=embeds,
                encoder_attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long, device=device),
                generation_config=settings,
            )
            count += len(pictures)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(TOWERS), default="small")
    parser.add_argument("--images", type=int, default=2, help="pictures of a batch")
    parser.add_argument("--per-image", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        save_blip(Path(folder), options.size)
        job = BlipCaptions(backend="blip", model=folder, per_image=options.per_image, batch_size=options.images)
        model = BlipModel(job, device=device, dtype=torch.bfloat16 if device.type == "cuda" else torch.float32)
    side = TOWERS[options.size]["image_size"]
    pictures = [torch.randn(3, side, side, dtype=next(model.network.parameters()).dtype) for _ in range(options.images)]
    prompt = torch.tensor([[5, 6, 7, 8]])  # [DEC] a picture of
    uniforms = [
        [uniform_numbers(0, str(picture), sample, model.num_new_tokens) for sample in range(options.per_image)]
        for picture in range(options.images)
    ]
    seconds: dict[str, list[float]] = {"published": [], "ours": [], "tower": []}
    count = options.images * options.per_image
    for _ in range(options.rounds):
        start = now()
        assert as_published(model, pictures, prompt, job) == count
        seconds["published"].append(now() - start)
        start = now()
        found = model.caption(pictures, uniforms, num_rows=options.images)
        seconds["ours"].append(now() - start)
        assert sum(map(len, found)) == count
        start = now()
        with torch.inference_mode():
            model.network.vision_model(pixel_values=torch.stack(pictures).to(device))
        seconds["tower"].append(now() - start)
    print(f"{options.size}, {device.type}, {options.images} pictures, {options.per_image} captions each")
    for name in ("published", "ours"):
        mean = statistics.median(seconds[name])
        print(f"{name:10} {mean:8.2f} s  {count / mean:8.2f} captions/s")
    ratios = [one / other for one, other in zip(seconds["published"], seconds["ours"], strict=True)]
    floor = [one / other for one, other in zip(seconds["ours"], seconds["tower"], strict=True)]
    print(f"ratio {statistics.median(ratios):.2f} (rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)})")
    print(f"ours over the floor, the tower once a picture: {statistics.median(floor):.2f}")


if __name__ == "__main__":
    main()
