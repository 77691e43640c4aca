"""Several workers learn what one worker learns.

Each case trains once in this process and once in two processes that PyTorch's gloo connects. Without dropout, of which
each worker draws its own; and in float64, as AdamW's first steps blow up the rounding of a gradient that is nearly zero
to a whole learning rate.
"""

import json
import math
import multiprocessing
import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import load_file
from torch import nn

from schemas import BadInputError, Image, Region, Relation, RelmillError, Scene, StorageError
from stages.alif.build import build_model
from stages.alif.checkpoint import open_tokenizer
from stages.alif.tiny import tiny_config
from stages.alif.training import (
    STATE_SCHEMA,
    BatchConfig,
    TaggerBatches,
    TextCounts,
    TrainingConfig,
    labelled_picture,
    train,
)
from stages.alif.vocabulary_tokenizer import vocabulary_size, vocabulary_tokenizer
from stages.storage import Folder
from stages.training import TrainingStates, WorkerGroup

CPU = torch.device("cpu")
STEPS = 4
CASES = ("plain", "unreadable", "one_reads_nothing", "nothing_readable", "not_finite", "resumed")


def scene(number):
    """Of `number` + 2 regions, so that no two pictures weigh the same."""
    regions = tuple(Region(i, "ab"[i % 2], (8 * i, 10, 8 * i + 20, 40)) for i in range(number + 2))
    relations = (
        Relation(0, 1, "on", "on", 1.0, "human"),
        Relation(1, 0, "under", "under", 1.0, "human", state="denied" if number % 2 else "asserted"),
    )
    return Scene(f"s-{number}", Image(f"{number}.png", 100, 50), regions, relations=relations)


PICTURES = [labelled_picture(scene(number), source=0, boxes_are_fractions=False) for number in range(5)]


class Doubled:
    """Batches in float64."""

    def __init__(self, batches):
        self.batches = batches

    def stream(self, *args, **settings):
        for batch in self.batches.stream(*args, **settings):
            told = replace(
                batch.told,
                subject_boxes=batch.told.subject_boxes.double(),
                object_boxes=batch.told.object_boxes.double(),
            )
            yield replace(batch, pixels=batch.pixels.double(), told=told)


def batches(unreadable=()):
    def read(picture):
        if picture.key in unreadable:
            raise BadInputError(f"{picture.key}: cut short")
        number = int(picture.key[2:])
        # All are padded to 64 x 32, whoever shares a batch with them.
        pixels = np.random.default_rng(number).integers(256, size=(50 + 3 * number, 100, 3), dtype=np.uint8)
        return Pillow.fromarray(pixels)

    return TaggerBatches(PICTURES, read, BatchConfig(batch_size=4, short_side=32, longest=64), seed=0, multiple_of=16)


def network(folder):
    content = vocabulary_tokenizer(TextCounts.of(PICTURES).all())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(content)
    torch.manual_seed(0)
    model = build_model(tiny_config(vocabulary_size(content))).double()
    # At the start the network looks at places on the borders of cells, where rounding decides from which side a slope
    # is taken.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model, open_tokenizer(folder, "tokenizer.json")


def states_of(folder):
    return TrainingStates(Folder(str(folder / "state")), {"steps": STEPS}, schema=STATE_SCHEMA)


def learn(case, folder, group, *, steps=STEPS):
    """Train in `folder`; the problem, if there is one."""
    folder = folder / case
    model, tokenize = network(folder / f"tokenizer-{group.rank}")
    first = batches().pictures_of(0)
    unreadable = {
        "unreadable": {first[0].key},
        # Of the first batch, all that the second of two workers has.
        "one_reads_nothing": {first[1].key, first[3].key},
        "nothing_readable": {picture.key for picture in PICTURES},
    }.get(case, set())
    if case == "not_finite":
        with torch.no_grad():
            model.decoder.head.relation_bias[0] = math.nan
    config = TrainingConfig(steps=STEPS, save_every=2, report_every=1, learning_rate=1e-3)
    if steps < STEPS:
        config = TrainingConfig(steps=STEPS, save_every=steps, report_every=1, learning_rate=1e-3)
    lines = []

    def report(line):
        lines.append(line)
        if steps < STEPS and line.startswith(f"step {steps + 1} "):
            raise KeyboardInterrupt

    try:
        train(
            model, tokenize, Doubled(batches(unreadable)), config, states=states_of(folder),
            metrics=Folder(str(folder)), group=group, device=CPU, report=report,
        )  # fmt: skip
    except RelmillError as error:
        return str(error)
    return ""


def work(rank, folder, port):
    """What each of the two processes does."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    group = WorkerGroup.current()
    problems = {case: learn(case, folder, group) for case in CASES}
    # Gradients that one worker, or none, has.
    parameters = [nn.Parameter(torch.zeros(3)) for _ in range(3)]
    if rank == 0:
        parameters[0].grad = torch.ones(3)
    parameters[1].grad = torch.full((3,), rank + 1.0)
    group.sum_gradients(parameters)
    problems["gradients"] = [None if one.grad is None else one.grad.tolist() for one in parameters]
    (folder / f"problems-{rank}.json").write_text(json.dumps(problems))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders with the results of one worker and of two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    # One worker begins, two go on.
    with pytest.raises(KeyboardInterrupt):
        learn("resumed", two, WorkerGroup(), steps=2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(rank, two, port)) for rank in range(2)]
    for worker in workers:
        worker.start()
    problems = {case: learn(case, one, WorkerGroup()) for case in CASES}
    (one / "problems.json").write_text(json.dumps(problems))
    for worker in workers:
        worker.join(timeout=120)
    torch.set_num_threads(before)
    assert [worker.exitcode for worker in workers] == [0, 0]
    return one, two


def weights(folder, case):
    (state,) = (folder / case / "state").glob("step-*")
    assert state.name == f"step-{STEPS:08d}"
    return load_file(state / "model.safetensors"), load_file(state / "optimizer.safetensors")


def figures(folder, case):
    lines = [json.loads(line) for line in (folder / case / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.endswith("_per_s")} for line in lines]


def test_the_small_networks_parts_need_no_other_workers_pictures() -> None:
    """Norms with running statistics would have to be told of them."""
    model = build_model(tiny_config(50))
    assert not [name for name, module in model.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize("case", ["plain", "unreadable", "one_reads_nothing", "resumed"])
def test_two_workers_learn_what_one_learns(trained: tuple[Path, Path], case: str) -> None:
    one, two = trained
    (ours, our_moments), (other, other_moments) = weights(one, case), weights(two, case)
    assert ours.keys() == other.keys()
    assert our_moments.keys() == other_moments.keys()
    assert max(float((ours[name] - other[name]).abs().max()) for name in ours) < 1e-9
    assert any(not torch.equal(ours[name], value) for name, value in network(one / "tokenizer")[0].state_dict().items())
    assert len(figures(one, case)) == STEPS
    for mine, theirs in zip(figures(one, case), figures(two, case), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-6)  # one figure is float32


def test_unreadable_pictures_of_all_workers_are_counted(trained: tuple[Path, Path]) -> None:
    _, two = trained
    assert figures(two, "one_reads_nothing")[0]["num_unreadable"] == 2


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ("nothing_readable", "not one picture of a batch can be read; the first: s-"),
        ("not_finite", "the loss is nan at step 1, and no weight was changed by it"),
    ],
)
def test_all_workers_stop_together(trained: tuple[Path, Path], case: str, problem: str) -> None:
    one, two = trained
    alone = json.loads((one / "problems.json").read_text())
    both = [json.loads((two / f"problems-{rank}.json").read_text()) for rank in range(2)]
    assert problem in alone[case]
    assert alone[case] == both[0][case]
    assert problem in both[1][case]
    assert not (two / case / "state").exists()


def test_gradients_are_summed_and_none_stays_none(trained: tuple[Path, Path]) -> None:
    _, two = trained
    for rank in range(2):
        found = json.loads((two / f"problems-{rank}.json").read_text())["gradients"]
        assert found == [[1.0] * 3, [3.0] * 3, None]


def test_the_shares_of_a_batch_are_the_batch() -> None:
    whole = batches().make(3)
    shares = [batches().make(3, WorkerGroup(rank, 3)) for rank in range(3)]
    assert sorted(whole.keys) == sorted(key for share in shares for key in share.keys)
    for rank, share in enumerate(shares):
        assert (share.texts, share.num_objects) == (whole.texts, whole.num_objects)
        for row, key in enumerate(share.keys):
            place = rank + 3 * row
            assert key == whole.keys[place]
            assert torch.equal(share.told.object_boxes[row], whole.told.object_boxes[place])
            assert torch.equal(share.told.subject_classes[row], whole.told.subject_classes[place])
            assert torch.equal(share.targets[row].predicate_labels, whole.targets[place].predicate_labels)


def test_workers_that_see_different_states_are_told(tmp_path: Path) -> None:
    states_of(tmp_path).check_same_start([4, 4])
    with pytest.raises(StorageError, match="the workers see different states, after 4, 0 steps"):
        states_of(tmp_path).check_same_start([4, 0])
