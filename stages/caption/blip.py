"""Backend `blip`: captions written by BLIP, by beam search or nucleus sampling, as RLIPv2 uses it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from schemas import Caption, Rejected, Repair, Scene, UserError
from schemas.job import BlipCaptions
from stages.caption.blip_model import BlipModel
from stages.caption.model_files import folder_digest, model_source
from stages.caption.nucleus import uniform_numbers
from stages.optional import require_torch
from stages.picture import decode_rgb
from stages.threads import one_thread


def open_blip(job: BlipCaptions, *, seed: int) -> "BlipCaptioner":
    """A BLIP captioner that has not loaded its weights yet. A local model's files are read once, for their digest.

    Raises:
        UserError: if the `blip` extra is not installed, or the model folder holds no weights that may be loaded.
    """
    require_torch("caption.backend blip")
    source = model_source(job.model)
    digest = folder_digest(source) if Path(source).is_dir() else None
    return BlipCaptioner(job, seed=seed, folder_sha256=digest)


class BlipCaptioner:
    """Appends `per_image` captions to each scene, most probable first; it keeps those it has unless told otherwise.

    Captions of one picture that read the same are merged, the highest log-probability kept, so a scene can gain fewer.
    What a picture gets is a function of (seed, scene key, picture, model, settings, kind of device): not of its
    neighbours. The exception is a batch that ran out of memory: smaller batches round otherwise (see `BlipModel`).
    """

    name = "caption"
    wants_gpu = True
    """The runtime gives it a whole GPU by default, if there is one."""

    def __init__(self, job: BlipCaptions, *, seed: int, folder_sha256: str | None = None) -> None:
        self._job = job
        self._seed = seed
        self._folder_sha256 = folder_sha256
        self._model: BlipModel | None = None
        self.batch_size = job.batch_size
        self._num_rows = job.batch_size
        self.identity = _identity(job, folder_sha256)

    def setup(self) -> None:
        """Load BLIP: on a GPU in bfloat16 if it computes in that natively, else in float32; on the CPU in float32.

        Raises:
            UserError: if the model cannot be loaded here, or its folder is not the one the job was planned with.
        """
        require_torch("caption.backend blip")
        import torch

        if self._folder_sha256 is not None:
            self._check_folder(self._folder_sha256)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        self._model = BlipModel(self._job, device=device, dtype=torch.bfloat16 if fast else torch.float32)

    def process(self, scenes: Sequence[Scene]) -> list[Scene | Rejected]:
        """Caption the scenes that have pixels; the others are rejected as `no-pixels`."""
        seen = [scene for scene in scenes if scene.image.data is not None]
        batches = [seen[start : start + self._num_rows] for start in range(0, len(seen), self._num_rows)]
        captioned = iter([scene for batch in batches for scene in self._caption_batch(batch)])
        return [next(captioned) if scene.image.data is not None else self._no_pixels(scene) for scene in scenes]

    def _caption_batch(self, scenes: Sequence[Scene]) -> list[Scene]:
        import torch

        assert self._model is not None, "setup() was not called"
        try:
            # One picture at a time: decoded, a large one takes a hundred times the memory it has here.
            pixels = [
                self._model.pixels(decode_rgb(scene.image.data)) for scene in scenes if scene.image.data is not None
            ]
            uniforms = [self._uniforms(scene) for scene in scenes]
            with one_thread():
                found = self._model.caption(pixels, uniforms, num_rows=self._num_rows)
        except torch.OutOfMemoryError:
            # The runtime comes back with half of them; computing with all rows again would not help.
            self._num_rows = (self._num_rows + 1) // 2
            raise
        bare = scenes if self._job.keep_given else [_without_captions(scene) for scene in scenes]
        return [_with_captions(scene, self._merged(pairs)) for scene, pairs in zip(bare, found, strict=True)]

    def _no_pixels(self, scene: Scene) -> Rejected:
        return Rejected(
            scene.key, self.name, "no-pixels", f"caption.backend blip needs the picture {scene.image.name!r}"
        )

    def _uniforms(self, scene: Scene) -> list[list[float]]:
        assert self._model is not None
        count = self._model.num_new_tokens
        return [uniform_numbers(self._seed, scene.key, sample, count) for sample in range(self._job.per_image)]

    def _merged(self, pairs: Sequence[tuple[str, float]]) -> tuple[Caption, ...]:
        best: dict[str, float] = {}
        for text, log_probability in pairs:
            if text:
                best[text] = max(log_probability, best.get(text, log_probability))
        ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))
        return tuple(Caption(text, "blip", self._job.decoding, round(value, 6)) for text, value in ordered)

    def _check_folder(self, planned_sha256: str) -> None:
        source = model_source(self._job.model)
        if not Path(source).is_dir():
            raise UserError(
                f"caption.model: no folder {source} on this worker; put the model on storage that every node "
                f"mounts at the same path, or give a hub name"
            )
        found = folder_digest(source)
        if found != planned_sha256:
            raise UserError(
                f"caption.model: the files in {source} on this worker have sha256 {found}, the job was "
                f"planned with {planned_sha256}; give every node the same files, or start the job anew"
            )


def _without_captions(scene: Scene) -> Scene:
    """The scene as it would be had its dataset no captions; relations point to none, either."""
    return replace(scene, captions=(), relations=tuple(replace(one, evidence=()) for one in scene.relations))


def _with_captions(scene: Scene, captions: tuple[Caption, ...]) -> Scene:
    """The scene with its new captions, and a repair if it has none at all: every caption of BLIP was empty."""
    scene = replace(scene, captions=scene.captions + captions)
    if scene.captions:
        return scene
    repair = Repair("caption", "no-caption", "BLIP said nothing of this picture; it can get no relations from captions")
    return replace(scene, provenance=replace(scene.provenance, repairs=(*scene.provenance.repairs, repair)))


def _identity(job: BlipCaptions, folder_sha256: str | None) -> str:
    source = f"sha256:{folder_sha256}" if folder_sha256 else f"{job.model}@{job.revision}"
    settings = [f"{job.decoding}", f"per_image={job.per_image}", f"prompt={job.prompt!r}"]
    settings += [f"length={job.min_length}..{job.max_length}"]
    if job.decoding == "nucleus":
        settings += [f"top_p={job.top_p:g}", f"repetition_penalty={job.repetition_penalty:g}"]
    else:
        settings += [f"beams={max(job.num_beams, job.per_image)}"]
    settings += [f"batch_size={job.batch_size}", *([] if job.keep_given else ["given=dropped"])]
    return f"blip/1 {source} {' '.join(settings)}"
