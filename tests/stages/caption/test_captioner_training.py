"""Training a captioner: what a batch is, what it costs, and that what is learned is what the backend `blip` says."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from schemas import BadInputError, Caption, Scene, UserError
from schemas import Image as ImageRecord
from schemas.job import BlipCaptions
from stages.caption import open_captioner
from stages.caption.training import (
    PROMPT,
    STATE_SCHEMA,
    BatchConfig,
    CaptionBatch,
    CaptionBatches,
    CaptionedPicture,
    CaptionTrainingConfig,
    caption_loss,
    caption_tokenizer,
    caption_vocabulary,
    captioned_picture,
    clean_caption,
    image_processor,
    names_sides,
    next_token_logits,
    save_captioner,
    tiny_captioner,
    train,
)
from stages.storage import Folder
from stages.training import EndlessOrder, TrainingStates

SIZE = 36
SAID = [
    ("a man rides a horse", "a horse is ridden by a man"),
    ("a dog sleeps", "a dog on a couch", "there is a dog"),
    ("two women, a bench and a tree",),
    ("a kite in the sky", "a boy flies a kite"),
]
PICTURES = [CaptionedPicture(f"p-{i}", f"{i}.png", 0, captions) for i, captions in enumerate(SAID)]
PROMPT_LENGTH = 4


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture_of(one: CaptionedPicture) -> Image.Image:
    """Blocks of colour, different for each."""
    number = int(one.key[2:])
    blocks = bytes((37 * number * (i + 1) + 91 * i) % 256 for i in range(48))
    return Image.frombytes("RGB", (4, 4), blocks).resize((50, 40), Image.Resampling.NEAREST)


VOCABULARY = caption_vocabulary({PROMPT: 1} | {text: 1 for captions in SAID for text in captions})
TOKENIZER = caption_tokenizer(VOCABULARY)


def rows_of(captions: tuple[str, ...]) -> list[list[int]]:
    words = [TOKENIZER(f"{PROMPT} {text}", add_special_tokens=False).input_ids for text in captions]
    return [[VOCABULARY["[DEC]"], *ids, VOCABULARY["[SEP]"]] for ids in words]


ROWS = [rows_of(captions) for captions in SAID]


def make_batches(**config) -> CaptionBatches:
    config = BatchConfig(**{"batch_size": 4, **config})
    return CaptionBatches(PICTURES, ROWS, picture_of, image_processor(SIZE), config, seed=3)


def make_captioner(seed: int = 0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return tiny_captioner(VOCABULARY, image_size=SIZE)


def equal(one: CaptionBatch, two: CaptionBatch) -> bool:
    tensors = ("pixels", "tokens", "num_captions")
    return one.keys == two.keys and all(torch.equal(getattr(one, name), getattr(two, name)) for name in tensors)


# Captions and words


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("A man rides a horse.", "a man rides a horse"),
        ("A picture of a dog and a tree", "a dog and a tree"),
        ("a picture  of", ""),
        ("A dog, a cat; (asleep)!", "a dog, a cat asleep"),
    ],
)
def test_captions_are_cleaned_as_blips_were(text: str, cleaned: str) -> None:
    assert clean_caption(text, prompt=PROMPT) == cleaned


def test_captions_that_become_alike_are_one_and_a_scene_may_have_none() -> None:
    captions = tuple(Caption(text, "given") for text in ("A dog.", "a dog", "a picture of a dog", "..."))
    scene = Scene("x-1", ImageRecord("1.png", 8, 8), captions=captions)
    found = captioned_picture(scene, source=2, prompt=PROMPT)
    assert found == CaptionedPicture("x-1", "1.png", 2, ("a dog",))
    assert captioned_picture(Scene("x-2", ImageRecord("2.png", 8, 8)), source=0, prompt=PROMPT) is None


def test_left_and_right_forbid_mirrors() -> None:
    assert names_sides(CaptionedPicture("k", "n", 0, ("a dog", "the man to the leftmost tree")))
    assert not names_sides(CaptionedPicture("k", "n", 0, ("a bright dog",)))


def test_the_vocabulary_has_whole_words_and_spells_what_it_does_not_know() -> None:
    tokens = TOKENIZER.tokenize("Two WOMEN, a zebra2 and a é ñandú 雪")
    assert tokens[:4] == ["two", "women", ",", "a"]
    assert tokens[4:10] == ["z", "##e", "##b", "##r", "##a", "##2"]
    assert tokens[12:] == ["e", "n", "##a", "##n", "##d", "##u", "[UNK]"]  # accents are taken off
    ids = TOKENIZER(f"{PROMPT} a zebra", add_special_tokens=False).input_ids
    assert TOKENIZER.decode([VOCABULARY["[DEC]"], *ids, VOCABULARY["[SEP]"]], skip_special_tokens=True) == (
        "a picture of a zebra"
    )


def test_the_vocabulary_keeps_the_frequent_words_and_depends_on_no_order() -> None:
    counts = {"dog cat": 2, "dog zebra": 1, "ant": 2}
    one = caption_vocabulary(counts, max_words=3)
    assert one == caption_vocabulary(dict(reversed(counts.items())), max_words=3)
    assert {"dog", "cat", "ant"} < one.keys()
    assert "zebra" not in one


# Batches


def test_a_batch_is_a_function_of_the_seed_and_its_number() -> None:
    batches = make_batches(batch_size=3, mirrored=True, num_captions=2)
    expected = [make_batches(batch_size=3, mirrored=True, num_captions=2).make(number) for number in range(7)]
    for num_threads in (1, 3):
        streamed = list(batches.stream(2, 7, num_threads=num_threads))
        assert all(equal(one, two) for one, two in zip(streamed, expected[2:], strict=True))


def test_an_epoch_has_every_picture_once_and_the_next_another_order() -> None:
    order = EndlessOrder(10, seed=(1,))
    places = [place for number in range(5) for place in order.batch(number, 4)]
    assert sorted(places[:10]) == sorted(places[10:]) == list(range(10))
    assert places[:10] != places[10:]


def test_the_pictures_are_as_the_captioner_will_see_them() -> None:
    batch = make_batches().make(0)
    processor = image_processor(SIZE)
    for key, pixels in zip(batch.keys, batch.pixels, strict=True):
        alone = processor(picture_of(PICTURES[int(key[2:])]), return_tensors="pt").pixel_values[0]
        assert torch.equal(pixels, alone)


def test_captions_stand_beside_their_pictures() -> None:
    batch = make_batches(num_captions=2).make(0)
    texts = iter(TOKENIZER.batch_decode(batch.tokens, skip_special_tokens=True))
    for key, count in zip(batch.keys, batch.num_captions.tolist(), strict=True):
        said = {" ".join(TOKENIZER.tokenize(f"{PROMPT} {text}")) for text in SAID[int(key[2:])]}
        assert count == min(2, len(said))
        assert {" ".join(TOKENIZER.tokenize(next(texts))) for _ in range(count)} <= said


def test_half_of_the_pictures_are_mirrored_if_they_may_be() -> None:
    plain, mirrored = make_batches().make(0), make_batches(mirrored=True)
    pixels = dict(zip(plain.keys, plain.pixels, strict=True))
    turned = []
    for number in range(20):
        batch = mirrored.make(number)
        for key, found in zip(batch.keys, batch.pixels, strict=True):
            turned.append(torch.equal(found, pixels[key].flip(-1)) and not torch.equal(found, pixels[key]))
            assert turned[-1] or torch.equal(found, pixels[key])
    assert 20 < sum(turned) < 60


def test_a_picture_that_cannot_be_read_is_left_out_and_counted() -> None:
    def read(one: CaptionedPicture) -> Image.Image:
        if one.key == "p-1" or broken:
            raise BadInputError(f"{one.key}: torn")
        return picture_of(one)

    batches = CaptionBatches(PICTURES, ROWS, read, image_processor(SIZE), BatchConfig(batch_size=4), seed=3)
    broken = False
    batch = batches.make(0)
    assert (sorted(batch.keys), batch.num_unreadable) == (["p-0", "p-2", "p-3"], 1)
    assert len(batch.pixels) == 3
    assert int(batch.num_captions.sum()) == len(batch.tokens) == 5
    broken = True
    fresh = CaptionBatches(PICTURES, ROWS, read, image_processor(SIZE), BatchConfig(batch_size=4), seed=3)
    with pytest.raises(BadInputError, match=r"not one picture of a batch can be read; the first: p-.: torn"):
        fresh.make(0)


# The loss


def cost(captioner, batch: CaptionBatch, *, label_smoothing: float = 0.0) -> torch.Tensor:
    return caption_loss(captioner, batch, prompt_length=PROMPT_LENGTH, label_smoothing=label_smoothing)


def gradients(captioner) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in captioner.named_parameters() if p.grad is not None}


def test_captions_that_share_a_picture_teach_what_they_teach_apart() -> None:
    """The vision tower runs once a picture; so loss and gradient are those of a run for each caption."""
    batch = make_batches().make(0)
    together = make_captioner()
    total = cost(together, batch, label_smoothing=0.1)
    total.backward()

    apart = make_captioner()
    first = 0
    sums = []
    for place, count in enumerate(batch.num_captions.tolist()):
        rows = [row[row != 0] for row in batch.tokens[first : first + count]]
        first += count
        num_tokens = sum(len(row) - PROMPT_LENGTH for row in rows)
        for row in rows:
            one = CaptionBatch(("k",), batch.pixels[place : place + 1], row[None], torch.tensor([1]))
            sums.append(cost(apart, one, label_smoothing=0.1) * (len(row) - PROMPT_LENGTH) / num_tokens)
    separate = torch.stack(sums).sum() / len(batch.keys)
    separate.backward()

    torch.testing.assert_close(total, separate)
    expected = gradients(apart)
    assert gradients(together).keys() == expected.keys()
    for name, gradient in gradients(together).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6, msg=name)


def test_the_prompt_costs_nothing_and_the_end_does() -> None:
    captioner = make_captioner()
    row = torch.tensor([ROWS[1][0]])
    batch = CaptionBatch(("k",), torch.zeros(1, 3, SIZE, SIZE), row, torch.tensor([1]))
    with torch.no_grad():
        chances = next_token_logits(captioner, batch).log_softmax(-1)[0]
        asked = row[0, PROMPT_LENGTH:].tolist()
        assert TOKENIZER.convert_ids_to_tokens(asked) == ["a", "dog", "sleeps", "[SEP]"]
        expected = -sum(chances[PROMPT_LENGTH - 1 + i, token] for i, token in enumerate(asked)) / 4
        torch.testing.assert_close(cost(captioner, batch), expected)


# The training


def train_four(folder: Path, *, steps: int, captioner=None, report=lambda _line: None, **config):
    return train(
        captioner or make_captioner(),
        make_batches(),
        CaptionTrainingConfig(**{"steps": steps, "warmup_steps": 5, "save_every": 4, "report_every": 2, **config}),
        prompt_length=PROMPT_LENGTH,
        states=TrainingStates(Folder(str(folder / "state")), {"steps": steps}, schema=STATE_SCHEMA),
        metrics=Folder(str(folder)),
        report=report,
    )


@pytest.fixture(scope="module")
def learned_by_heart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learned")
    trained = train_four(folder, steps=100, save_every=50)
    save_captioner(folder / "captioner", trained, TOKENIZER, image_processor(SIZE))
    return folder / "captioner"


@pytest.mark.parametrize("decoding", ["beam", "nucleus"])
def test_what_was_learned_by_heart_is_what_the_backend_says(learned_by_heart: Path, decoding: str) -> None:
    folder = learned_by_heart
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6_000_000
    settings = {"decoding": decoding, "per_image": 1 if decoding == "beam" else 5}
    stage = open_captioner(BlipCaptions(backend="blip", model=str(folder), batch_size=4, **settings), seed=0)
    stage.setup()
    scenes = []
    for one in PICTURES:
        buffer = io.BytesIO()
        picture_of(one).save(buffer, "PNG")
        scenes.append(Scene(one.key, ImageRecord(one.image_name, 50, 40, data=buffer.getvalue())))
    for scene, captions in zip(stage.process(scenes), SAID, strict=True):
        assert isinstance(scene, Scene)
        assert {caption.text for caption in scene.captions} <= set(captions)
        assert len(scene.captions) == 1 or decoding == "nucleus"


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    def stop(line: str) -> None:
        if line.startswith("step 6"):
            raise KeyboardInterrupt

    whole = train_four(tmp_path / "whole", steps=8).state_dict()
    with pytest.raises(KeyboardInterrupt):
        train_four(tmp_path / "parts", steps=8, report=stop)
    resumed = train_four(tmp_path / "parts", steps=8, captioner=make_captioner(seed=9)).state_dict()
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    steps = [line.split(",")[0] for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [f'{{"step": {step}' for step in (2, 4, 6, 8)]


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    captioner = make_captioner()
    with torch.no_grad():
        captioner.vision_model.post_layernorm.weight[0] = float("nan")
    with pytest.raises(UserError, match="the loss is nan at step 1, and no weight was changed by it"):
        train_four(tmp_path, steps=2, captioner=captioner)


def test_impossible_settings_are_told() -> None:
    with pytest.raises(ValueError, match=r"label_smoothing is 1\.0"):
        CaptionTrainingConfig(steps=1, label_smoothing=1.0)
