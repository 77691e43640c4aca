"""The loop of pre-training: it learns, goes on where it stood to the last bit, and several workers are one."""

import json
import math
import multiprocessing
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretrain_made import Network, loader_of, scenes, stream_of, write_output
from safetensors.torch import load_file
from torch import nn

from schemas import BadInputError, UserError
from stages.pretrain.training import STATE_SCHEMA, PretrainConfig, train
from stages.storage import Folder
from stages.stream import SceneStream, StreamConfig
from stages.training import TrainingStates, WorkerGroup

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> str:
    return write_output(tmp_path_factory.mktemp("pretraining") / "out", scenes(20))


def config(steps: int, **options) -> PretrainConfig:
    return PretrainConfig(**{"steps": steps, "learning_rate": 1e-3, "slow_rate": 1.0, "report_every": 1} | options)


def learn(output: str, folder: Path, settings: PretrainConfig, *, group=WorkerGroup(), report=lambda _: None,  # noqa: B008
          num_workers: int = 0, score=None, epochs=None, batch_size=4, model=None):  # fmt: skip
    stream = stream_of(output, window_shards=2)
    network = Network(stream)
    loader = loader_of(stream, rank=group.rank, num_ranks=group.size, num_workers=num_workers, batch_size=batch_size)
    states = TrainingStates(
        Folder(str(folder / "state")), {"output": output}, schema=STATE_SCHEMA, keep_last=settings.keep_last
    )
    return train(model or network.build(), network.tokenize, loader, settings, states=states,
                 metrics=Folder(str(folder)), group=group, device=CPU, report=report, score=score)  # fmt: skip


def figures(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.endswith("_per_s")} for line in lines]


def newest(folder: Path) -> dict[str, bytes]:
    step = json.loads((folder / "state" / "states.json").read_text())["states"][-1]["step"]
    return {path.name: path.read_bytes() for path in (folder / "state" / f"step-{step:08d}").iterdir()}


def killed_at(output, folder, settings, step):
    """In a process of its own, which is killed as it reports a step."""

    def report(line: str) -> None:
        if line.startswith(f"step {step} "):
            os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    learn(output, folder, settings, report=report)


def test_ten_steps_a_kill_and_ten_more_are_twenty_steps(output, tmp_path):
    settings = config(20, save_every=10, average=0.99)
    straight = learn(output, tmp_path / "straight", settings)
    process = multiprocessing.get_context("spawn").Process(
        target=killed_at, args=(output, tmp_path / "parts", settings, 14)
    )
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL
    assert [line["step"] for line in figures(tmp_path / "parts")] == list(range(1, 15))
    resumed = learn(output, tmp_path / "parts", settings, num_workers=1)
    assert figures(tmp_path / "straight") == figures(tmp_path / "parts"), "identical losses"
    assert newest(tmp_path / "straight") == newest(tmp_path / "parts"), "identical weights"
    for mine, theirs in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def without_dropout(output):
    """Workers draw each their own."""
    model = Network(stream_of(output, window_shards=2)).build()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def work(rank, output, folder, port):
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    for steps in (3, 4):  # the fourth from the state
        learn(output, folder, config(steps, save_every=3), group=WorkerGroup.current(), model=without_dropout(output))
        torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_workers_learn_what_one_learns_from_the_same_samples(output, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(rank, output, tmp_path / "two", port)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for steps in (3, 4):
        learn(output, tmp_path / "one", config(steps, save_every=3), model=without_dropout(output))
    for worker in workers:
        worker.join(timeout=120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    one, two = figures(tmp_path / "one"), figures(tmp_path / "two")
    assert len(one) == len(two) == 4
    for mine, theirs in zip(one, two, strict=True):
        assert mine == pytest.approx(theirs, rel=2e-3), "float32, padded to other sizes"


def test_a_worker_without_a_sample_takes_part(tmp_path):
    """The last batch of an epoch has one sample for two."""
    output = write_output(tmp_path / "out", scenes(3))
    stream = stream_of(output)
    sizes = {}
    for rank in range(2):
        once = SceneStream(StreamConfig(sources=stream.config.sources, epochs=1))
        sizes[rank] = [len(batch.keys) for batch in loader_of(once, batch_size=2, rank=rank, num_ranks=2)]
    assert sizes == {0: [1, 0], 1: [1, 1]}


@pytest.mark.parametrize("target", ["pseudo_quality", "quality"])
def test_a_window_in_which_nobody_says_anything_is_no_obstacle(tmp_path, target):
    silent = [replace(scene, relations=()) for scene in scenes(16)]
    output = write_output(tmp_path / "out", silent)
    learn(output, tmp_path / "net", config(2, predicate_target=target))
    assert all(math.isfinite(line["loss"]) for line in figures(tmp_path / "net"))


def test_the_average_is_returned_and_differs_from_the_weights(output, tmp_path):
    plain = learn(output, tmp_path / "a", config(4))
    averaged = learn(output, tmp_path / "b", config(4, average=0.9))
    own = load_file(tmp_path / "b" / "state" / "step-00000004" / "model.safetensors")
    for name, value in plain.state_dict().items():
        assert torch.equal(value, own[name]), "the weights do not know of their average"
    assert any(not torch.equal(value, own[name]) for name, value in averaged.state_dict().items())


def test_the_best_state_is_kept_beside_the_last(output, tmp_path):
    scores = iter([0.1, 0.5, 0.3, 0.2])
    learn(output, tmp_path, config(4, save_every=1), score=lambda model: {"score": next(scores), "mAP": 1.0})
    states = json.loads((tmp_path / "state" / "states.json").read_text())["states"]
    assert [(state["step"], state["score"]) for state in states] == [(2, 0.5), (4, 0.2)]
    assert sorted(path.name for path in (tmp_path / "state").glob("step-*")) == ["step-00000002", "step-00000004"]
    assert [line["mAP"] for line in figures(tmp_path) if "mAP" in line] == [1.0] * 4


def test_backbone_and_text_encoder_may_learn_more_slowly(output, tmp_path):
    start = Network(stream_of(output, window_shards=2)).build().state_dict()
    end = learn(output, tmp_path, config(2, slow_rate=0.0, weight_decay=0.0)).state_dict()
    for name, value in end.items():
        if name.startswith(("backbone.", "text_encoder.")):
            assert torch.equal(value, start[name]), name
    assert any(not torch.equal(value, start[name]) for name, value in end.items())


def test_a_loss_that_is_no_number_stops_before_a_weight_is_changed(output, tmp_path):
    model = Network(stream_of(output, window_shards=2)).build()
    with torch.no_grad():
        model.decoder.head.relation_bias[0] = math.nan
    with pytest.raises((UserError, ValueError), match=r"not finite|the loss is nan"):
        learn(output, tmp_path, config(2), model=model)
    assert not (tmp_path / "state").exists()


def test_a_state_of_another_training_is_refused(output, tmp_path):
    learn(output, tmp_path, config(1))
    other = write_output(tmp_path / "other", scenes(8))
    with pytest.raises(BadInputError, match="is of a training with output"):
        learn(other, tmp_path, config(2))
    damaged = tmp_path / "state" / "step-00000001" / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with pytest.raises(BadInputError, match="damaged"):
        learn(output, tmp_path, config(2))
    damaged.unlink()
    with pytest.raises(BadInputError, match="missing"):
        learn(output, tmp_path, config(2))


def test_a_text_that_is_too_long_is_told_when_it_comes(output, tmp_path):
    said = scenes(4)
    long = [replace(one, relations=tuple(replace(it, predicate="on " * 40) for it in one.relations)) for one in said]
    with pytest.raises(BadInputError, match=r"the text 'on on .* has 42 tokens, but the network takes 32"):
        learn(write_output(tmp_path / "long", long), tmp_path, config(1), model=Network(stream_of(output)).build())


@pytest.mark.parametrize(
    "options",
    [{"slow_rate": -1}, {"average": 1.0}, {"precision": "int4"}, {"keep_last": 0}, {"steps": 0}],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        PretrainConfig(**{"steps": 1} | options)


def test_bfloat16_says_much_the_same(output, tmp_path):
    for precision in ("float32", "bfloat16"):
        learn(output, tmp_path / precision, config(3, precision=precision))
    exact, half = figures(tmp_path / "float32"), figures(tmp_path / "bfloat16")
    assert [line["loss"] for line in half] == pytest.approx([line["loss"] for line in exact], rel=0.1)
    assert half != exact
