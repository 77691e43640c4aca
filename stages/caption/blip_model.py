"""BLIP as a function from pictures to scored sentences. Shapes: B pictures, N captions each, T tokens, V vocabulary."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from schemas import UserError
from schemas.job import BlipCaptions
from stages.caption.model_files import model_source
from stages.caption.nucleus import NucleusChoice

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor
    from transformers import DynamicCache


class BlipModel:
    """A loaded captioner.

    Every call computes with `num_rows` pictures, blank ones added, and `max_length` tokens: arithmetic libraries choose
    their kernels by shape, and another kernel rounds otherwise, which can turn a sampled word. With one shape, what is
    said of a picture does not depend on how many others are beside it.
    """

    def __init__(self, job: BlipCaptions, *, device: "torch.device", dtype: "torch.dtype") -> None:
        """Load tokenizer, image processor and weights (safetensors only).

        Raises:
            UserError: naming `caption.model` and what was tried, or a setting that the model does not admit.
        """
        from transformers import GenerationConfig

        self._job = job
        self._device = device
        self._tokenizer, self._processor, model = _load(job, dtype)
        text = model.config.text_config
        self._prompt: list[int] = [text.bos_token_id, *self._tokenizer(job.prompt, add_special_tokens=False).input_ids]
        self._end: int = text.sep_token_id
        self._pad: int = text.pad_token_id
        _check_lengths(job, prompt_length=len(self._prompt), positions=text.max_position_embeddings)
        nucleus = job.decoding == "nucleus"
        self._generation = GenerationConfig(
            do_sample=False,  # the nucleus is sampled by `NucleusChoice`
            num_beams=1 if nucleus else max(job.num_beams, job.per_image),
            num_return_sequences=1 if nucleus else job.per_image,
            # Of a nucleus `NucleusChoice` sees to it, so that it also sees the model's own scores.
            min_length=0 if nucleus else job.min_length,
            max_length=job.max_length,
            eos_token_id=self._end,
            pad_token_id=self._pad,
        )
        # What a checkpoint brings along would fill the gaps in ours.
        model.text_decoder.generation_config = GenerationConfig()
        self.network = model.to(device).eval()

    @property
    def num_new_tokens(self) -> int:
        """Most tokens a caption can have: the uniform numbers that nucleus sampling needs for it."""
        return self._job.max_length - len(self._prompt)

    def pixels(self, picture: "Image") -> "Tensor":
        """A picture as the vision tower takes it: (3, H, W) float32, squashed to the model's size, on the CPU."""
        pixels: Tensor = self._processor(picture, return_tensors="pt").pixel_values[0]
        return pixels

    def caption(
        self, pictures: Sequence["Tensor"], uniforms: Sequence[Sequence[Sequence[float]]], *, num_rows: int
    ) -> list[list[tuple[str, float]]]:
        """Captions of each picture with their log-probabilities, N a picture, in no particular order.

        Args:
            pictures: at most `num_rows` results of `pixels`.
            uniforms: per picture and caption, `num_new_tokens` numbers in [0, 1). Unused by beam search.
            num_rows: B, pictures to compute with; the rest are blank and their captions thrown away.
        """
        import torch

        with torch.inference_mode():
            blank = [torch.zeros_like(pictures[0])] * (num_rows - len(pictures))
            pixels = torch.stack([*pictures, *blank]).to(self._device)
            embeds = self.network.vision_model(pixel_values=pixels).last_hidden_state
            looks = self._looks(embeds)
            repeated = embeds.repeat_interleave(self._job.per_image, dim=0)
            if self._job.decoding == "nucleus":
                sequences, scores = self._sample(repeated, looks, uniforms)
            else:
                sequences = self._generate(embeds)
                # To one length for all calls, as `num_rows` is one number of rows.
                sequences = torch.nn.functional.pad(
                    sequences, (0, self._job.max_length - sequences.shape[1]), value=self._pad
                )
                scores = self._log_probabilities(sequences, repeated, looks)
            texts = self._tokenizer.batch_decode(
                sequences[:, len(self._prompt) :], skip_special_tokens=True, clean_up_tokenization_spaces=True
            )
        n = self._job.per_image
        pairs = [(text.strip(), score) for text, score in zip(texts, scores.tolist(), strict=True)]
        return [pairs[i * n : (i + 1) * n] for i in range(len(pictures))]

    def _looks(self, embeds: "Tensor") -> "DynamicCache":
        """What captions see of their pictures: keys and values (B*N, heads, P, D / heads) of each decoder layer.

        The captions of a picture all look at the same patches. Left to itself, the decoder projects the patches anew
        for every caption, which for ten of them is more arithmetic than a vision tower of BLIP-base.
        """
        from transformers import DynamicCache

        looks = DynamicCache()
        for number, layer in enumerate(self.network.text_decoder.bert.encoder.layer):
            attention = layer.crossattention.self
            keys, values = (
                projection(embeds)
                .unflatten(-1, (attention.num_attention_heads, attention.attention_head_size))
                .transpose(1, 2)
                .repeat_interleave(self._job.per_image, dim=0)
                for projection in (attention.key, attention.value)
            )
            looks.update(keys, values, number)
        return looks

    def _sample(
        self, embeds: "Tensor", looks: "DynamicCache", uniforms: Sequence[Sequence[Sequence[float]]]
    ) -> tuple["Tensor", "Tensor"]:
        """Sequences (B*N, T) and their log-probabilities (B*N,), for the pictures' embeddings (B*N, P, D).

        The rows of a picture are adjacent. For the log-probabilities see `_log_probabilities`.
        """
        import torch
        from transformers import LogitsProcessorList, MinLengthLogitsProcessor, RepetitionPenaltyLogitsProcessor

        numbers = torch.zeros(len(embeds), self.num_new_tokens, dtype=torch.float64)
        given = [row for rows in uniforms for row in rows]
        numbers[: len(given)] = torch.tensor(given, dtype=torch.float64)
        choice = NucleusChoice(
            numbers.to(self._device),
            prompt_length=len(self._prompt),
            top_p=self._job.top_p,
            bend=LogitsProcessorList(
                [
                    RepetitionPenaltyLogitsProcessor(self._job.repetition_penalty),
                    MinLengthLogitsProcessor(self._job.min_length, self._end, device=self._device),
                ]
            ),
        )
        sequences = self._generate(embeds, choice, looks=looks)
        tokens = torch.stack(choice.log_probabilities, dim=-1)
        return sequences, (tokens.double() * self._said(sequences)).sum(-1)

    def _generate(self, embeds: "Tensor", *processors: NucleusChoice, looks: "DynamicCache | None" = None) -> "Tensor":
        """Run the text decoder over embeddings (rows, P, D): a sequence a row, by beam search `per_image` a row."""
        import torch
        from transformers import DynamicCache, EncoderDecoderCache

        prompt = torch.tensor([self._prompt] * len(embeds), device=self._device)
        sequences: Tensor = self.network.text_decoder.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            encoder_hidden_states=embeds,
            encoder_attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long, device=self._device),
            generation_config=self._generation,
            past_key_values=EncoderDecoderCache(DynamicCache(), looks) if looks is not None else None,
            logits_processor=list(processors),
        )
        return sequences

    def _log_probabilities(self, sequences: "Tensor", embeds: "Tensor", looks: "DynamicCache") -> "Tensor":
        """Natural log-probability of each row's generated tokens, end token included if there is one: (rows,) float64.

        Under the model's own distribution, in one pass over the finished sequences. Beam search and sampling bend the
        distribution (penalty, nucleus), each in its way; the model's own makes their captions comparable.
        """
        import torch
        from transformers import DynamicCache, EncoderDecoderCache

        logits = self.network.text_decoder(
            input_ids=sequences[:, :-1],
            encoder_hidden_states=embeds,
            encoder_attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long, device=self._device),
            past_key_values=EncoderDecoderCache(DynamicCache(), looks),
        ).logits[:, len(self._prompt) - 1 :]
        targets = sequences[:, len(self._prompt) :]
        logits = logits.float()
        tokens = logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(-1)
        return (tokens.double() * self._said(sequences)).sum(-1)

    def _said(self, sequences: "Tensor") -> "Tensor":
        """Which tokens after the prompt (rows, T) count: up to the end token, and it, too."""
        is_end = (sequences[:, len(self._prompt) :] == self._end).long()
        return (is_end.cumsum(-1) - is_end) == 0


def _load(job: BlipCaptions, dtype: "torch.dtype") -> tuple[Any, Any, Any]:
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    source = model_source(job.model)
    try:
        # The Pillow processor by name: the automatic choice takes torchvision where present, which rounds otherwise.
        processor = transformers.BlipImageProcessorPil.from_pretrained(source, revision=job.revision)
        tokenizer = transformers.BertTokenizer.from_pretrained(source, revision=job.revision)
        model, loading = transformers.BlipForConditionalGeneration.from_pretrained(
            source, revision=job.revision, use_safetensors=True, dtype=dtype, output_loading_info=True
        )
    except Exception as error:
        raise UserError(
            f"caption.model: cannot load {job.model!r} (revision {job.revision}), tried as a local folder and as a "
            f"name on the Hugging Face hub: {error}; give a folder that save_pretrained wrote, or a name that this "
            f"machine can download"
        ) from error
    missing = sorted(loading["missing_keys"])
    if missing:
        raise UserError(
            f"caption.model: {job.model!r} is no BLIP captioning model: it lacks {len(missing)} weights, "
            f"for example {missing[0]}; give one such as Salesforce/blip-image-captioning-large"
        )
    return tokenizer, processor, model


def _check_lengths(job: BlipCaptions, *, prompt_length: int, positions: int) -> None:
    if job.max_length <= prompt_length:
        raise UserError(
            f"caption.max_length is {job.max_length}, but the prompt {job.prompt!r} takes {prompt_length} tokens "
            f"already; give at least {prompt_length + 1}"
        )
    if job.max_length > positions:
        raise UserError(f"caption.max_length is {job.max_length}; {job.model!r} knows {positions} positions at most")
