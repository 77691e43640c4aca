"""The `relmill` command. Each sub-command checks its input, calls one named thing and prints what came of it.

Exit status: 0 done, 1 the run failed (too many dead scenes, output not writable), 2 the job or an input is wrong,
3 another driver or job owns the output, 130 interrupted; after any of them the same command resumes.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from schemas import ConflictError, RelmillError, UserError
from schemas.job import Job, RunJob, TrainJob, load_job, load_run_job, load_train_job

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn object-detection datasets into pseudo-labelled scene graphs.",
)
evaluate = typer.Typer(no_args_is_help=True, help="Measure against human labels.")
app.add_typer(evaluate, name="evaluate")
audit = typer.Typer(no_args_is_help=True, help="Have people judge a sample of the labels.")
app.add_typer(audit, name="audit")

JobFile = Annotated[Path, typer.Argument(help="Job file (YAML); `relmill schema job` describes it.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key of the job file: --set tag.min_score=0.2. Repeatable.")
]
Runtime = Annotated[str | None, typer.Option(help="inline or ray; the job's `runtime.kind` if left out.")]
Address = Annotated[str | None, typer.Option(help="Ray cluster to join (auto, ray://...); implies --runtime ray.")]
Limit = Annotated[int | None, typer.Option(help="Take only the first images by key. A limited job is another job.")]
NoPixels = Annotated[bool, typer.Option("--no-pixels", help="Make shards without pictures.")]
Seal = Annotated[
    bool | None,
    typer.Option("--seal/--no-seal", help="Close the log at the end. Default: only if no scene is dead."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ParsingModel = Annotated[str, typer.Option(help="builtin, an installed spaCy package, or the folder of a pipeline.")]
GroundTruth = Annotated[str, typer.Option(help="What people asserted: a file, or an output of `relmill label`.")]
Predictions = Annotated[str, typer.Option(help="What is to be judged: a file, or an output of `relmill label`.")]
Classes = Annotated[
    str | None,
    typer.Option(help='Class names: JSON {"objects": [...], "predicates": [...]}, or an output; else the truth\'s.'),
]
Preset = Annotated[
    list[str] | None,
    typer.Option(help="Set of conventions to report. Repeatable. Default: official, and corrected if there is one."),
]
Convention = Annotated[
    list[str] | None,
    typer.Option(help="Change a convention in each of them: --convention ap=all_points. Repeatable; see the docs."),
]
ToJson = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file, too.")]
ToCsv = Annotated[Path | None, typer.Option("--csv", help="Write a row a class to this file.")]
ToPlot = Annotated[Path | None, typer.Option("--plot", help="Draw the classes by frequency to this .svg or .png.")]
Output = Annotated[str, typer.Argument(help="Output folder (path or URL), or the job file that made it.")]


def main() -> None:
    """Run the command; errors of ours become one message and an exit status, never a traceback."""
    try:
        app()
    except RelmillError as error:
        print(f"relmill: {error}", file=sys.stderr)  # noqa: T201 - the terminal's face
        sys.exit(3 if isinstance(error, ConflictError) else 2 if isinstance(error, UserError) else 1)
    except KeyboardInterrupt:
        print("relmill: stopped; run the same command to resume", file=sys.stderr)  # noqa: T201
        sys.exit(130)


@app.command()
def plan(job_file: JobFile, overrides: Overrides = None, limit: Limit = None, no_pixels: NoPixels = False) -> None:
    """Cut the dataset into units and say what is to be done and what is done already."""
    from pipeline.label import prepare
    from stages.pack import CommitLog

    prepared = prepare(_job(job_file, overrides, limit=limit, no_pixels=no_pixels), progress=_reading)
    summary, last = prepared.plan.summary, CommitLog(prepared.folder).last()
    done = "nothing" if last is None else f"{last.totals.planned} of {summary.num_records} scenes"
    _say(f"job        {prepared.digest[:16]}  ({prepared.folder})")
    _say(f"images     {summary.num_records} in {summary.num_units} units of {prepared.job.unit_size}")
    _say(f"regions    {summary.num_regions} of {len(prepared.plan.vocabulary.names)} classes")
    _say(f"captions   {summary.num_captions} given; {summary.num_human_relations} human relations")
    _say(f"refused    {summary.num_rejected} at ingest" + _reasons(summary.rejected))
    _say(f"committed  {done}" + (", sealed" if last is not None and last.sealed else ""))


@app.command()
def label(
    job_file: JobFile,
    runtime: Runtime = None,
    address: Address = None,
    limit: Limit = None,
    no_pixels: NoPixels = False,
    overrides: Overrides = None,
    seal: Seal = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Label a dataset. Interrupted, killed or failed, the same command goes on where it stood."""
    from pipeline.label import label as run_label
    from pipeline.label import prepare

    job = _job(job_file, overrides, runtime=runtime, address=address, limit=limit, no_pixels=no_pixels)
    prepared = prepare(job, progress=None if quiet else _reading)
    _finish(run_label(prepared, seal=seal, quiet=quiet), job)


@app.command()
def retry(
    job_file: JobFile,
    runtime: Runtime = None,
    address: Address = None,
    limit: Limit = None,
    no_pixels: NoPixels = False,
    overrides: Overrides = None,
    seal: Seal = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Run the dead scenes of a finished job once more, into new shards."""
    from pipeline.label import prepare
    from pipeline.retry import retry as run_retry

    job = _job(job_file, overrides, runtime=runtime, address=address, limit=limit, no_pixels=no_pixels)
    _finish(run_retry(prepare(job), seal=seal, quiet=quiet), job)


@app.command()
def status(output: Output, as_json: AsJson = False) -> None:
    """Say where an output stands."""
    from dataclasses import asdict

    from pipeline.status import read_status
    from stages.storage import Folder

    state = read_status(Folder(_output(output)))
    if as_json:
        _say(json.dumps({**asdict(state), "complete": state.complete}, indent=1))
        return
    totals = state.totals
    _say(f"job        {state.job[:16]}")
    _say(f"units      {state.num_commits} of {state.num_units} committed" + (", sealed" if state.sealed else ""))
    _say(f"scenes     {totals.planned} of {state.num_records} done")
    _say(
        f"           {totals.written} written, {totals.rejected} rejected, {totals.dead} dead"
        + _reasons(totals.reasons)
    )
    _say(f"relations  {totals.relations}")
    if state.layers["layers"]:
        said = state.layers
        _say(f"layers     {said['layers']}: people assert {said['asserted']} relations and deny {said['denied']}")


@app.command()
def seal(output: Output) -> None:
    """Close the log of a complete output, dead scenes and all: readers then know that nothing more comes."""
    from pipeline.ledger import Ledger
    from pipeline.status import read_status
    from stages.storage import Folder

    folder = Folder(_output(output))
    state = read_status(folder)
    if not state.complete:
        raise UserError(
            f"{folder}: {state.totals.planned} of {state.num_records} scenes are done; finish `relmill label`"
        )
    if not state.sealed:
        ledger = Ledger(folder)
        ledger.take_over()
        ledger.seal()
    _say(f"{folder}: sealed with {state.totals.written} scenes written, {state.totals.dead} dead")


@app.command()
def estimate(
    job_file: JobFile,
    overrides: Overrides = None,
    limit: Limit = None,
    no_pixels: NoPixels = False,
    units: Annotated[int, typer.Option(min=1, help="Units to label for the measurement.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Label a few units, throw them away, and project the time and GPU-hours of the whole job."""
    from dataclasses import asdict

    from pipeline.estimate import estimate as run_estimate
    from pipeline.label import prepare

    result = run_estimate(prepare(_job(job_file, overrides, limit=limit, no_pixels=no_pixels)), num_units=units)
    if as_json:
        _say(json.dumps({**asdict(result), "gpu_hours": result.gpu_hours, "cpu_hours": result.cpu_hours}, indent=1))
        return
    _say(f"measured {result.sampled_records} scenes in {result.sampled_units} of {result.num_units} units")
    for stage in result.stages:
        device = "GPU" if stage.wants_gpu else "CPU"
        _say(
            f"  {stage.stage:8} {1000 * stage.per_scene_s:8.2f} ms a scene  {_time(stage.total_s):>9} on one {device}"
            f" worker  (95 %: {_time(stage.low_s)} to {_time(stage.high_s)})  setup {stage.setup_s:.1f} s"
        )
    for name, (mean, low, high) in (("GPU-hours", result.gpu_hours), ("CPU-hours", result.cpu_hours)):
        _say(f"{name}  {mean:.3f}  (95 %: {low:.3f} to {high:.3f})")
    _say(f"slowest    {result.slowest.stage}: {_time(result.slowest.total_s)}, divided by its workers")
    _say(f"shards     {result.bytes_per_record * result.num_records / 1e9:.3f} GB")


@app.command()
def inspect(
    target: Annotated[str, typer.Argument(help="Output folder (path or URL) or one .tar shard.")],
    key: Annotated[list[str] | None, typer.Option(help="Show this scene. Repeatable.")] = None,
    num: Annotated[int, typer.Option(min=0, help="Scenes to show.")] = 3,
    draw: Annotated[
        Path | None, typer.Option(help="Draw the first scene shown, with boxes and relations, to this PNG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look into an output or a shard: counts, a few scenes, a picture."""
    from pipeline.inspect import inspect_output

    inspection = inspect_output(_output(target), keys=key or (), num=num, draw=draw)
    _say(json.dumps(inspection.to_json(), indent=1, ensure_ascii=False) if as_json else inspection.to_text())


@app.command()
def repair(
    output: Output,
    grace: Annotated[float, typer.Option(min=0, help="Hours a file must be old to count as left behind.")] = 24.0,
    delete: Annotated[bool, typer.Option("--delete", help="Remove the files instead of listing them.")] = False,
) -> None:
    """List, or remove, files that no commit names."""
    from pipeline.repair import find_garbage
    from stages.storage import Folder

    folder = Folder(_output(output))
    garbage = find_garbage(folder, grace_s=grace * 3600)
    for file in garbage:
        if delete:
            folder.remove(file.name)
        _say(f"{'removed' if delete else 'garbage'}  {file.name}  {file.bytes} bytes")
    _say(
        f"{len(garbage)} files, {sum(file.bytes for file in garbage)} bytes"
        + ("" if delete else "; --delete removes them")
    )


@app.command()
def parse(
    file: Annotated[str, typer.Argument(help="Captions, one a line, in UTF-8; - is standard input.")] = "-",
    jobs: Annotated[int, typer.Option(help="Processes that parse.")] = 1,
    model: ParsingModel = "builtin",
    explain: Annotated[str | None, typer.Option(help="Show the tree of this caption, and which rules apply.")] = None,
    svg: Annotated[Path | None, typer.Option(help="With --explain: draw the tree to this file.")] = None,
) -> None:
    """Read phrases, relations and attributes in captions: a caption a line in, a JSON line out, in order."""
    from pipeline.explain import explain as run_explain
    from pipeline.parse_lines import STDIN, print_parses

    if explain is None:
        if svg is not None:
            raise UserError("--svg draws the tree of one caption; give it with --explain")
        print_parses(file, model=model, num_jobs=jobs)
        return
    if file != STDIN:
        raise UserError(f"--explain takes its caption from the command line; leave out {file}")
    explanation = run_explain(explain, model=model)
    _say(explanation.to_text())
    if svg is not None:
        explanation.write_svg(svg)


@evaluate.command("parse")
def evaluate_parse(
    gold: Annotated[
        Path, typer.Option(help="Captions with the relations that people wrote: FACTUAL's CSV or JSON lines.")
    ],
    predictions: Annotated[
        Path | None, typer.Option(help="Lines of `relmill parse` to score; else the gold captions are parsed.")
    ] = None,
    model: ParsingModel = "builtin",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file, too.")] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Bootstrap resamples of the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Score the parser, or lines of `relmill parse`, on captions whose relations people wrote down."""
    from pipeline.evaluate.parse import evaluate_parse as run_evaluate
    from pipeline.evaluate.result_files import ResultFiles
    from pipeline.load_parser import load_parser

    files = ResultFiles(json_file)
    result = run_evaluate(
        gold,
        predictions=predictions,
        parse=load_parser(model).parse if predictions is None else None,
        model=model if predictions is None else "",
        num_resamples=resamples,
        seed=seed,
    )
    _say(result.to_text())
    files.write_figures(result)


@evaluate.command("hicodet")
def evaluate_hicodet(
    ground_truth: GroundTruth,
    predictions: Predictions,
    split: Annotated[
        str, typer.Option(help="Groups to report: full, nf, uc_rf, uc_nf or uo; nf also drops subjects not a person.")
    ] = "full",
    preset: Preset = None,
    convention: Convention = None,
    json_file: ToJson = None,
    csv_file: ToCsv = None,
    plot: ToPlot = None,
) -> None:
    """HICO-DET: average precision of human-object interactions."""
    from pipeline.evaluate.hicodet import evaluate_hicodet as run_evaluate
    from pipeline.evaluate.result_files import ResultFiles
    from pipeline.evaluate.run import Files

    results = ResultFiles(json_file, csv_file, plot)
    files = Files(ground_truth, predictions)
    result = run_evaluate(files, split=split, presets=preset or (), conventions=convention or ())
    _say(result.to_text())
    results.write_figures(result)
    results.write_rows(result)
    results.draw(result)


@evaluate.command("vcoco")
def evaluate_vcoco(
    ground_truth: Annotated[str, typer.Option(help="V-COCO's verb file of a split, such as vcoco_test.json.")],
    instances: Annotated[str, typer.Option(help="COCO's instances, such as instances_vcoco_all_2014.json.")],
    predictions: Annotated[
        str,
        typer.Option(help="An entry a person, as JSON or the published pickle; triplets; or an output of `label`."),
    ],
    ids: Annotated[
        str | None, typer.Option(help="Image ids of the split, one a line; else all of the verb file.")
    ] = None,
    nan_scores: Annotated[
        str, typer.Option(help="A score that is not a number: error, or skip as the official code does.")
    ] = "error",
    preset: Preset = None,
    convention: Convention = None,
    json_file: ToJson = None,
    csv_file: ToCsv = None,
    plot: ToPlot = None,
) -> None:
    """V-COCO: role AP in scenarios 1 and 2, and agent AP."""
    from pipeline.evaluate.result_files import ResultFiles
    from pipeline.evaluate.vcoco import VCocoFiles
    from pipeline.evaluate.vcoco import evaluate_vcoco as run_evaluate

    results = ResultFiles(json_file, csv_file, plot)
    result = run_evaluate(
        VCocoFiles(ground_truth, instances, predictions, ids),
        nan_scores=nan_scores,
        presets=preset or (),
        conventions=convention or (),
    )
    _say(result.to_text())
    results.write_figures(result)
    results.write_rows(result)
    results.draw(result)


@evaluate.command("openimages")
def evaluate_openimages(
    ground_truth: GroundTruth,
    predictions: Predictions,
    definition: Annotated[
        str, typer.Option(help="Of what AP is: predicate, or triplet (class) as RLIPv2 has it.")
    ] = "predicate",
    classes: Classes = None,
    preset: Preset = None,
    convention: Convention = None,
    json_file: ToJson = None,
    csv_file: ToCsv = None,
    plot: ToPlot = None,
) -> None:
    """OpenImages relationships: R@50, weighted AP of relations and phrases, and their weighted sum."""
    from pipeline.evaluate.openimages import evaluate_openimages as run_evaluate
    from pipeline.evaluate.result_files import ResultFiles
    from pipeline.evaluate.run import Files

    results = ResultFiles(json_file, csv_file, plot)
    result = run_evaluate(
        Files(ground_truth, predictions),
        definition=definition,
        classes=classes,
        presets=preset or (),
        conventions=convention or (),
    )
    _say(result.to_text())
    results.write_figures(result)
    results.write_rows(result)
    results.draw(result)


@evaluate.command("sgg")
def evaluate_sgg(
    ground_truth: GroundTruth,
    predictions: Predictions,
    mode: Annotated[str, typer.Option(help="What the model was told: sgdet, sgcls, predcls or phrdet.")] = "sgdet",
    training: Annotated[
        str | None, typer.Option(help="Training annotations; relations whose classes never met there are zero-shot.")
    ] = None,
    classes: Classes = None,
    preset: Preset = None,
    convention: Convention = None,
    json_file: ToJson = None,
    csv_file: ToCsv = None,
    plot: ToPlot = None,
) -> None:
    """Scene graphs as on VG150: recall and mean recall at K, with and without graph constraint."""
    from pipeline.evaluate.result_files import ResultFiles
    from pipeline.evaluate.run import Files
    from pipeline.evaluate.scene_graph import evaluate_scene_graph as run_evaluate

    results = ResultFiles(json_file, csv_file, plot)
    result = run_evaluate(
        Files(ground_truth, predictions),
        mode=mode,
        training=training,
        classes=classes,
        presets=preset or (),
        conventions=convention or (),
    )
    _say(result.to_text())
    results.write_figures(result)
    results.write_rows(result)
    results.draw(result)


@evaluate.command("labels")
def evaluate_labels(
    predictions: Annotated[str, typer.Option(help="Output of `relmill label` whose labels are to be judged.")],
    ground_truth: Annotated[
        str | None,
        typer.Option(help="Another output, with human relations of the same scenes; else its own are taken."),
    ] = None,
    convention: Annotated[
        list[str] | None, typer.Option(help="truth=spoken_pairs, use=probability, iou_threshold=..., num_bins=...")
    ] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Bootstrap resamples of the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    json_file: ToJson = None,
    csv_file: ToCsv = None,
) -> None:
    """Pseudo-labels: precision, recall, AP and calibration against human relations, by source and predicate."""
    from pipeline.evaluate.conventions import parted
    from pipeline.evaluate.labels import evaluate_labels as run_evaluate
    from pipeline.evaluate.result_files import ResultFiles
    from stages.evaluate.benchmark import with_choices
    from stages.evaluate.label_score import LabelConventions

    results = ResultFiles(json_file, csv_file)
    result = run_evaluate(
        predictions,
        ground_truth,
        conventions=with_choices(LabelConventions(), parted(convention or ()), benchmark="labels"),
        num_resamples=resamples,
        seed=seed,
    )
    _say(result.to_text())
    results.write_figures(result)
    results.write_rows(result)


@app.command()
def predict(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a pre-trained network, or of a converted one.")],
    pictures: Annotated[list[str] | None, typer.Argument(help="Pictures; what is seen on each is told.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="YAML file with a `dataset:` part, or an output of `relmill label`.")
    ] = None,
    hicodet: Annotated[
        str | None, typer.Option(help="HICO-DET's test annotations: predict, and evaluate zero-shot.")
    ] = None,
    images: Annotated[str | None, typer.Option(help="Folder of the pictures of --hicodet.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(help='What to ask about: JSON {"objects": [...], "predicates": [...]}, or an output.'),
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help="Or the classes and scores of hicodet or vcoco.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the predictions to this file.")] = None,
    layout: Annotated[str, typer.Option("--format", help="Of the file: triplets, or hoi_list.")] = "triplets",
    draw: Annotated[
        Path | None, typer.Option(help="Draw each picture with its scene graph to a PNG in this folder.")
    ] = None,
    show: Annotated[int, typer.Option(min=1, help="Triplets of a picture that are told and drawn.")] = 10,
    most: Annotated[int, typer.Option(min=1, help="Triplets of a picture in the file.")] = 100,
    min_score: Annotated[float, typer.Option(help="Leave out triplets below.")] = 0.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures that the network looks at together.")] = 8,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 for products in half precision.")] = "float32",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures of --hicodet to this file, too.")
    ] = None,
) -> None:
    """Say what relates what on pictures, for any names and predicates; also HICO-DET's zero-shot row in one go."""
    from pipeline.evaluate.result_files import ResultFiles
    from pipeline.predict import PredictSettings
    from pipeline.predict import predict as run_predict

    results = ResultFiles(json_file)
    if json_file is not None and hicodet is None:
        raise UserError("--json takes the figures of --hicodet; write predictions with --output")
    summary = run_predict(
        PredictSettings(
            checkpoint=checkpoint,
            pictures=tuple(pictures or ()),
            dataset=dataset,
            hicodet=hicodet,
            images=images,
            classes=classes,
            benchmark=benchmark,
            output=output,
            layout=layout,
            draw=draw,
            show=show,
            most=most,
            min_score=min_score,
            batch_size=batch_size,
            precision=precision,
        ),
        say=_say,
        report=_note,
    )
    _say(str(summary))
    if summary.evaluation is not None:
        results.write_figures(summary.evaluation)


@app.command("split-hicodet")
def split_hicodet(
    annotations: Annotated[Path, typer.Argument(help="HICO-DET's training annotations: PPDM's list, or triplets.")],
    output: Annotated[Path, typer.Argument(help="Folder for the files.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the few-shot subsets.")] = 0,
) -> None:
    """Make the zero-shot (UC-RF, UC-NF, UO) and few-shot (1 %, 10 %) training sets of HICO-DET."""
    from pipeline.split_hicodet import split_hicodet as run_split

    _say(str(run_split(annotations, output, seed=seed)))


@app.command("convert-rlipv2")
def convert_rlipv2(
    checkpoint: Annotated[Path, typer.Argument(help="Published checkpoint (.pth) of RLIPv2 or its Relation Tagger.")],
    output: Annotated[Path, typer.Argument(help="Folder to make, with model.safetensors and config.json.")],
    tokenizer: Annotated[str, typer.Option(help="Name on the hub of the text encoder's tokenizer.")] = "roberta-base",
    gate: Annotated[
        str | None, typer.Option(help="scalar or channel, which the tensors do not say; else what was published.")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Keep the published network's faults, for parity; else they are mended.")
    ] = False,
) -> None:
    """Turn a published checkpoint into a network of Relmill's: safetensors and a configuration."""
    from pipeline.convert_rlipv2 import convert_rlipv2 as run_convert

    _say(str(run_convert(checkpoint, output, tokenizer=tokenizer, gate=gate, published=published)))


@app.command("train-parser")
def train_parser(
    treebanks: Annotated[Path, typer.Option(help="Folder with ewt, gum and pud as CoNLL-U; see the model card.")],
    captions: Annotated[Path, typer.Option(help="FACTUAL's train split, CSV.")],
    output: Annotated[Path, typer.Option(help="Folder to make; its `model` is what `parse.model` names.")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Train the parsing model: on treebanks, then on captions whose parses people's graphs prove. About an hour."""
    from stages.parse.training import train_parser as run_train

    for number, done in enumerate(run_train(treebanks, captions, output, seed=seed), start=1):
        scores = "  ".join(f"{name} {value:.1%}" for name, value in done.scores.items())
        _say(
            f"round {number}  {done.steps} steps on {done.num_treebank_docs} treebank texts and {done.num_silver} of "
            f"{done.num_captions} captions  {scores}"
        )
    _say(str(output / "model"))


@app.command()
def train(
    job_file: Annotated[Path, typer.Argument(help="Job file (YAML); `relmill schema train` describes it.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key of the job file: --set steps=2000. Repeatable.")
    ] = None,
) -> None:
    """Pre-train a network on outputs, also while they are labelled. Interrupted or killed, the same command goes on."""
    from pipeline.train import train as run_train

    try:
        summary = run_train(load_train_job(job_file, overrides or ()), report=_say_at_once)
    except KeyboardInterrupt:  # typer would end without a word
        _note("stopped; the same command goes on from the last state")
        raise typer.Exit(130) from None
    if summary is not None:
        _say(str(summary))


@app.command()
def run(
    job_file: Annotated[Path, typer.Argument(help="YAML file; `relmill schema run` describes it.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key of the file: --set start_after=4. Repeatable.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress of the labelling.")] = False,
) -> None:
    """Label, and train on it meanwhile, on one cluster. Interrupted or killed, the same command goes on with both."""
    from pipeline.together import run_together

    try:
        result = run_together(load_run_job(job_file, overrides or ()), report=_say_at_once, quiet=quiet)
    except KeyboardInterrupt:
        _note("stopped; the same command goes on with both")
        raise typer.Exit(130) from None
    if result.labelled.interrupted:
        _note("stopped; the same command goes on with both")
        raise typer.Exit(130)
    if result.trained is not None:
        _say(str(result.trained))


@app.command("train-tagger")
def train_tagger(
    datasets: Annotated[list[Path], typer.Argument(help="YAML files, each with a `dataset:` part like a job's.")],
    output: Annotated[Path, typer.Option(help="Folder to make; it is what `tag.model` names.")],
    network: Annotated[
        str, typer.Option(help="tiny, trained from nothing, or the folder of a tagger to train further.")
    ] = "tiny",
    steps: Annotated[int, typer.Option(min=1, help="Of the optimizer.")] = 5000,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures of a step, of all workers together.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance.")] = 0,
    learning_rate: Annotated[float | None, typer.Option(help="Highest; else 1e-3 for tiny, 1e-4 for others.")] = None,
    short_side: Annotated[
        int | None, typer.Option(min=1, help="Pixels of a picture's shorter side; else as its config.json says.")
    ] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between two states to resume from.")] = 500,
    report_every: Annotated[int, typer.Option(min=1, help="Steps between two lines of figures.")] = 50,
    assume_complete: Annotated[
        bool, typer.Option("--assume-complete", help="Predicates that a dataset does not list for a pair do not hold.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training begun in the output.")] = False,
    num_threads: Annotated[int, typer.Option(min=1, help="Threads that read pictures, of each worker.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share each batch, run by Ray Train.")] = 1,
    gpus_per_worker: Annotated[
        float | None, typer.Option(min=0, help="GPUs that each reserves; else 1 if the cluster has so many.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to train on (auto, ray://...); else this machine.")
    ] = None,
) -> None:
    """Train a Relation Tagger on the human relations of one or more datasets."""
    from pipeline.train_tagger import train_tagger as run_train

    summary = run_train(
        datasets,
        output,
        network=network,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        learning_rate=learning_rate,
        short_side=short_side,
        save_every=save_every,
        report_every=report_every,
        assume_complete=assume_complete,
        resume=resume,
        num_threads=num_threads,
        num_workers=workers,
        gpus_per_worker=gpus_per_worker,
        address=address,
        report=_say,
    )
    _say(str(summary))


@app.command("train-captioner")
def train_captioner(
    datasets: Annotated[list[Path], typer.Argument(help="YAML files, each with a `dataset:` part like a job's.")],
    output: Annotated[Path, typer.Option(help="Folder to make; it is what `caption.model` names.")],
    steps: Annotated[int, typer.Option(min=1, help="Of the optimizer.")] = 7000,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures of a step.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance.")] = 0,
    learning_rate: Annotated[float, typer.Option(help="After the warm-up.")] = 2e-3,
    image_size: Annotated[int, typer.Option(min=1, help="Pixels of a side of what it sees, a multiple of 12.")] = 96,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between two states to resume from.")] = 500,
    report_every: Annotated[int, typer.Option(min=1, help="Steps between two lines of figures.")] = 50,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training begun in the output.")] = False,
    num_threads: Annotated[int, typer.Option(min=1, help="Threads that read pictures.")] = 1,
) -> None:
    """Train a very small BLIP on the captions of one or more datasets, from nothing."""
    from pipeline.train_captioner import train_captioner as run_train

    summary = run_train(
        datasets,
        output,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        learning_rate=learning_rate,
        image_size=image_size,
        save_every=save_every,
        report_every=report_every,
        resume=resume,
        num_threads=num_threads,
        report=_say,
    )
    _say(str(summary))


@app.command("fit-prior")
def fit_prior(
    datasets: Annotated[list[Path], typer.Argument(help="YAML files, each with a `dataset:` part like a job's.")],
    output: Annotated[Path, typer.Option(help="File to write.")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Fit the tag prior on the human relations of one or more datasets."""
    from pipeline.fit_prior import fit_prior as run_fit

    jobs = [load_job(path, ["output=unused"]).dataset for path in datasets]
    _say(str(run_fit(jobs, output, seed=seed)))


@app.command()
def schema(what: Annotated[str, typer.Argument(help="job, train, run, scene or index.")]) -> None:
    """Print a schema: JSON Schema of a file of `label`, `train` or `run`, or of a scene; Arrow schema of the index."""
    from schemas import scene_json_schema
    from schemas.shard import INDEX_SCHEMA

    if what == "job":
        _say(json.dumps(Job.model_json_schema(), indent=2))
    elif what == "train":
        _say(json.dumps(TrainJob.model_json_schema(), indent=2))
    elif what == "run":
        _say(json.dumps(RunJob.model_json_schema(), indent=2))
    elif what == "scene":
        _say(json.dumps(scene_json_schema(), indent=2))
    elif what == "index":
        _say(str(INDEX_SCHEMA))
    else:
        raise UserError(f"schema {what!r}: choose job, train, run, scene or index")


def _job(
    path: Path,
    overrides: list[str] | None,
    *,
    runtime: str | None = None,
    address: str | None = None,
    limit: int | None = None,
    no_pixels: bool = False,
) -> Job:
    extra = list(overrides or ())
    if address is not None:
        extra += ["runtime.kind=ray", f"runtime.address={json.dumps(address)}"]
    if runtime is not None:
        extra.append(f"runtime.kind={runtime}")
    if limit is not None:
        extra.append(f"dataset.limit={limit}")
    if no_pixels:
        extra.append("dataset.pixels=false")
    return load_job(path, extra)


def _output(target: str) -> str:
    return load_job(target).output if target.endswith((".yaml", ".yml")) else target


def _finish(result: Any, job: Job) -> None:
    totals = result.totals
    _say(f"{job.output}")
    _say(
        f"{totals.planned} of {result.num_records} scenes done ({result.committed_now} now): {totals.written} written, "
        f"{totals.rejected} rejected, {totals.dead} dead; {totals.relations} relations" + _reasons(totals.reasons)
    )
    if result.interrupted:
        _say("interrupted; run the same command to go on")
        raise typer.Exit(130)
    if totals.dead and not result.sealed:
        _say("not sealed: `relmill retry` runs the dead scenes again, `relmill seal` accepts their loss")
    _say_score(job.output)
    _say(f"report: {job.output}/report.html")


def _say_score(output: str) -> None:
    """How right the labels are, where the dataset says what is true."""
    from stages.storage import Folder

    score = json.loads(Folder(output).read("report.json")).get("score") or {}
    for what in ("triplets", "pairs"):
        row = score.get(what)
        if not row or not row["labelled"] or not row["human"]:
            continue
        (low, high), (least, most) = row["precision_95"], row["recall_95"]
        _say(
            f"{what:8}  precision {row['precision']:.1%} ({low:.1%} to {high:.1%})  recall {row['recall']:.1%} "
            f"({least:.1%} to {most:.1%})  of {row['labelled']} labelled, {row['human']} human"
        )


def _time(seconds: float) -> str:
    from stages.duration import duration

    return "unknown" if seconds == float("inf") else duration(seconds)


def _reasons(reasons: dict[str, int]) -> str:
    return "".join(f"\n             {number:8}  {reason}" for reason, number in reasons.items())


def _reading(num_records: int) -> None:
    if num_records % 100_000 == 0:
        print(f"planning: {num_records} images", file=sys.stderr)  # noqa: T201 - the terminal's face


def _note(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - the terminal's face


def _say(text: str) -> None:
    print(text)  # noqa: T201 - the terminal's face


def _say_at_once(text: str) -> None:
    """Of what lasts: somebody may watch the file that it goes to."""
    print(text, flush=True)  # noqa: T201 - the terminal's face


@audit.command("serve")
def audit_serve(
    sample: Annotated[Path, typer.Argument(help="Folder of a sample, as `relmill audit sample` makes it.")],
    auditor: Annotated[str | None, typer.Option(help="Who judges; else the page asks for a name.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's own open it.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    open_page: Annotated[bool, typer.Option("--open", help="Open a browser on it.")] = False,
) -> None:
    """Judge a sample in the browser. Each verdict is on the disk before the page goes on; the same command goes on."""
    from pipeline.audit.serve import serve

    try:
        serve(sample, auditor=auditor, host=host, port=port, open_page=open_page, say=_say_at_once, warn=_note)
    except KeyboardInterrupt:  # typer would end without a word
        _note("stopped; every verdict is kept, and the same command goes on")
        raise typer.Exit(130) from None


@app.command()
def trace(
    output: Output,
    key: Annotated[str, typer.Argument(help="Key of the scene.")],
    relation: Annotated[
        str | None, typer.Argument(help='Its number, or words: "person ride horse". Left out: list the relations.')
    ] = None,
    parse_again: Annotated[bool, typer.Option("--parse", help="Parse the captions again: tree and rules.")] = False,
    model: ParsingModel = "builtin",
    as_json: AsJson = False,
) -> None:
    """Say why a label is there: its caption, how that was read, the pairs that competed, and what made it."""
    from pipeline.audit.trace import to_json_text
    from pipeline.audit.trace import trace as run_trace

    found = run_trace(_output(output), key, relation, parse=parse_again, model=model)
    _say(to_json_text(found) if as_json else found.to_text())


@app.command()
def calibrate(
    sources: Annotated[
        list[str], typer.Argument(help="Audit samples with verdicts, or outputs whose scenes have human relations.")
    ],
    output: Annotated[Path, typer.Option(help="File to write; it is what `tag.calibration` names.")],
    method: Annotated[str | None, typer.Option(help="logistic or isotonic; else the one with less log-loss.")] = None,
    families: Annotated[
        str, typer.Option(help="predicate, none, or a JSON file that maps predicates to the names of families.")
    ] = "predicate",
    truth: Annotated[
        str, typer.Option(help="Of outputs: what nobody asserted is wrong (closed) or left out (spoken_pairs, judged).")
    ] = "closed",
    holdout: Annotated[float, typer.Option(help="Share of the pictures that each fold holds out.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds and of the intervals.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit from scores to the probability that a label is right, on what people say of labels."""
    from pipeline.calibrate import calibrate as run_calibrate
    from stages.audit.calibration import CalibrationConfig, read_families

    chosen: Any = families if families in ("predicate", "none") else read_families(Path(families))
    config = CalibrationConfig(method=cast(Any, method), families=chosen, holdout=holdout, seed=seed)
    summary = run_calibrate(sources, output, config=config, truth=cast(Any, truth))
    _say(json.dumps(summary.to_json(), indent=1, ensure_ascii=False) if as_json else str(summary))


@audit.command("sample")
def audit_sample(
    output: Output,
    folder: Annotated[Path, typer.Argument(help="Folder to make for the sample.")],
    n: Annotated[int, typer.Option("--n", help="Relations to draw.")] = 400,
    by: Annotated[
        str, typer.Option(help="Strata by any of predicate, score (tenths), source, subject, object, dataset.")
    ] = "predicate,score,source",
    seed: Annotated[int, typer.Option(min=0, help="Of all chance; another seed draws another sample.")] = 0,
    where: Annotated[
        str | None,
        typer.Option(help="Condition in SQL, as \"predicate = 'ride' and score < 0.4\"; if wrong, columns are listed."),
    ] = None,
    auditor: Annotated[list[str] | None, typer.Option(help="Who judges. Repeatable. Else anybody, everything.")] = None,
    overlap: Annotated[float, typer.Option(help="Part of the items that all auditors judge; 0.2 is a fifth.")] = 1.0,
    allocation: Annotated[
        str, typer.Option(help="Items of a stratum: by the root of its size (sqrt), proportional, or equal.")
    ] = "sqrt",
) -> None:
    """Draw relations at random, stratified, for people to judge; from the index alone, in seconds."""
    from pipeline.audit.sample import sample as run_sample

    summary = run_sample(
        _output(output),
        folder,
        num_drawn=n,
        by=by,
        where=where,
        seed=seed,
        allocation=allocation,
        auditors=tuple(auditor or ()),
        overlap=overlap,
    )
    _say(summary.to_text())


@audit.command("apply")
def audit_apply(
    sample: Annotated[Path, typer.Argument(help="Folder of a sample that people have judged.")],
    output: Annotated[
        str | None, typer.Option(help="Output that it was drawn from, if it lies elsewhere now (path or URL).")
    ] = None,
) -> None:
    """Write verdicts over the output as what people say of it: all readers see them, and nothing is rewritten."""
    from pipeline.audit.apply import apply_verdicts

    _say(str(apply_verdicts(sample, output)))


@audit.command("export")
def audit_export(
    sample: Annotated[Path, typer.Argument(help="Folder of a sample, as `relmill audit sample` makes it.")],
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    to: Annotated[str, typer.Option(help="Tool that is to read it: fiftyone or label-studio.")],
    output: Annotated[
        str | None, typer.Option(help="Output that it was drawn from, if it lies elsewhere now (path or URL).")
    ] = None,
) -> None:
    """Write a sample, its pictures and the verdicts so far for FiftyOne or Label Studio."""
    from pipeline.audit.export import export_sample

    _say(str(export_sample(sample, folder, to=to, output=output)))


@audit.command("report")
def audit_report(
    sample: Annotated[Path, typer.Argument(help="Folder of a sample that people have judged, in part or whole.")],
    precision: Annotated[float, typer.Option(help="Precision that a score threshold is sought for.")] = 0.9,
    gallery: Annotated[int, typer.Option(min=0, help="Errors shown with their pictures.")] = 60,
    output: Annotated[
        str | None, typer.Option(help="Output that it was drawn from, if it lies elsewhere now (path or URL).")
    ] = None,
    json_file: ToJson = None,
) -> None:
    """Write report.html and report.json: precision with intervals, agreement, calibration, thresholds, errors."""
    from pipeline.audit.report import write_audit_report
    from pipeline.evaluate.result_files import ResultFiles

    results = ResultFiles(json_file)
    report = write_audit_report(sample, wanted=precision, most_errors=gallery, output=output)
    results.write_figures(report)
    _say(report.to_text())
