"""The real sample through the command: both runtimes, one result, nothing lost, everything traceable."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests_made import files_of

from stages.pack import CommitLog, committed_scenes
from stages.storage import Folder

RELMILL = [sys.executable, "-m", "pipeline"]


@pytest.fixture(scope="module")
def outputs(request, tmp_path_factory) -> dict[str, Path]:
    sample = request.getfixturevalue("test_data") / "coco_sample"
    folder = tmp_path_factory.mktemp("coco")
    (folder / "job.yaml").write_text(
        f"dataset: {{format: coco, annotations: {sample}/instances.json, images: {sample}/images, "
        f"captions: {sample}/captions.json}}\noutput: out\n"
    )
    for runtime in ("inline", "ray"):
        subprocess.run(
            [*RELMILL, "label", str(folder / "job.yaml"), "-q", "--runtime", runtime, "--set", f"output={runtime}"],
            check=True,
            capture_output=True,
        )
    return {runtime: folder / runtime for runtime in ("inline", "ray")}


def test_both_runtimes_write_the_same_bytes(outputs):
    assert files_of(outputs["inline"]) == files_of(outputs["ray"])


def test_every_planned_scene_is_accounted_for(outputs):
    last = CommitLog(Folder(str(outputs["ray"]))).last()
    assert last.sealed
    assert last.totals.planned == last.totals.written + last.totals.rejected + last.totals.dead
    assert last.totals.planned > 0


def test_picture_bytes_are_the_files_bytes(outputs, test_data):
    images = test_data / "coco_sample" / "images"
    for scene in committed_scenes(Folder(str(outputs["ray"]))):
        assert scene.image.data == (images / scene.image.name).read_bytes()


def test_relations_name_regions_that_exist_and_read_the_words_they_came_from(outputs):
    relations = 0
    for scene in committed_scenes(Folder(str(outputs["ray"])), pixels=False):
        regions = {region.id: region for region in scene.regions}
        assert len(regions) == len(scene.regions)
        for relation in scene.relations:
            relations += 1
            assert relation.subject in regions
            assert relation.object in regions
            assert relation.subject != relation.object
            assert 0 <= relation.score <= 1
            assert relation.evidence
            texts = []
            for evidence in relation.evidence:
                caption = scene.captions[evidence.caption].text
                texts.append(caption[slice(*evidence.predicate)])
                for span in (evidence.subject, evidence.predicate, evidence.object):
                    assert caption[slice(*span)].strip()
            assert relation.text in texts
    assert relations > 0


def test_provenance_names_the_job_and_every_stage(outputs):
    scene = next(committed_scenes(Folder(str(outputs["ray"])), pixels=False))
    assert list(scene.provenance.stages) == sorted(["screen", "caption", "parse", "tag"])
    assert len(scene.provenance.job) == 64


def test_webdataset_alone_reads_the_shards(outputs):
    code = (
        "import sys, glob, json, webdataset as wds\n"
        "urls = sorted(glob.glob(sys.argv[1] + '/shards/*.tar'))\n"
        "n = 0\n"
        "for s in wds.WebDataset(urls, shardshuffle=False).decode('pil'):\n"
        "    assert s['jpg'].size == (s['json']['image']['width'], s['json']['image']['height'])\n"
        "    n += 1\n"
        "assert not any(m.split('.')[0] in ('pipeline', 'stages', 'schemas') for m in sys.modules)\n"
        "print(n)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(outputs["ray"])], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == CommitLog(Folder(str(outputs["ray"]))).last().totals.written


def test_duckdb_queries_the_index(outputs):
    duckdb = pytest.importorskip("duckdb")
    out = outputs["ray"]
    files = [str(out / entry.index.name) for entry in CommitLog(Folder(str(out))).entries() if entry.index]
    rows = duckdb.sql(
        "select r.subject, r.predicate, r.object, count(*) as n "
        f"from (select unnest(relations) as r from read_parquet({files!r})) "
        "where r.source = 'tagger' group by all order by n desc, 1, 2, 3"
    ).fetchall()
    counted = {}
    for scene in committed_scenes(Folder(str(out)), pixels=False):
        names = {region.id: region.name for region in scene.regions}
        for relation in scene.relations:
            triplet = names[relation.subject], relation.predicate, names[relation.object]
            counted[triplet] = counted.get(triplet, 0) + 1
    assert {row[:3]: row[3] for row in rows} == counted


def test_index_offsets_point_at_the_members(outputs):
    import pyarrow.parquet as pq

    out = outputs["ray"]
    for entry in CommitLog(Folder(str(out))).entries():
        if entry.index is None:
            continue
        with tarfile.open(out / entry.shard.name) as tar:
            content = {member.name: tar.extractfile(member).read() for member in tar}
            assert all(member.mtime == 0 and member.uid == 0 for member in tar.getmembers())
        data = (out / entry.shard.name).read_bytes()
        for row in pq.read_table(out / entry.index.name).to_pylist():
            for kind, ending in (("image", ".jpg"), ("json", ".json")):
                start = row[f"{kind}_offset"]
                assert data[start : start + row[f"{kind}_length"]] == content[row["key"] + ending]
