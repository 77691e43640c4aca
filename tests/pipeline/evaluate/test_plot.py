"""Pictures of a benchmark's scores by class."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.evaluate.plot import binned_means, plot_scores
from schemas import StorageError, UserError
from stages.evaluate.benchmark import BenchmarkScore, ClassScore

POINTS = st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 1)), max_size=80)


def made(*, measures: tuple[str, ...] = ("AP",), num_train: bool = True, num_classes: int = 40) -> BenchmarkScore:
    rows = [
        ClassScore(
            name=f"class {number}",
            group="rare" if number < 10 else "non-rare",
            measure=measure,
            value=None if number == 0 else number / num_classes,
            max_recall=None,
            num_truths=number,
            num_predictions=3,
            num_train=number**2 if num_train else None,
        )
        for measure in measures
        for number in range(num_classes)
    ]
    return BenchmarkScore({}, tuple(rows))


@pytest.fixture(autouse=True)
def _plots() -> None:
    pytest.importorskip("matplotlib", reason="needs the plot extra")


def num_points(svg: Path) -> list[int]:
    """Marks of each group of each panel, in the order of drawing; the legend's are left out."""
    text = svg.read_text().split('<g id="legend')[0]
    groups = re.findall(r'<g id="PathCollection_\d+">(.*?)(?=<g id="(?!C))', text, flags=re.S)
    return [len(re.findall(r"<use ", group)) for group in groups]


def test_a_png_is_1280_pixels_wide(tmp_path):
    plot_scores(tmp_path / "a.png", {"official": made()}, title="HICO-DET")
    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.format, picture.width) == ("PNG", 1280)


@pytest.mark.parametrize("ending", ["png", "svg", "SVG"])
def test_equal_scores_give_equal_bytes_in_any_order_of_the_classes(tmp_path, ending):
    score = made()
    shuffled = BenchmarkScore({}, tuple(random.Random(0).sample(score.classes, len(score.classes))))
    plot_scores(tmp_path / f"a.{ending}", {"official": score}, title="HICO-DET")
    plot_scores(tmp_path / f"b.{ending}", {"official": shuffled}, title="HICO-DET")
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "b"]


def test_every_class_with_a_score_is_a_mark_and_the_heading_counts_them(tmp_path):
    plot_scores(tmp_path / "a.svg", {"official": made()}, title="HICO-DET")
    assert num_points(tmp_path / "a.svg") == [30, 9]  # non-rare, rare
    assert "39 of 40 classes" in (tmp_path / "a.svg").read_text()


def test_title_axes_units_and_groups_are_written_out(tmp_path):
    plot_scores(tmp_path / "a.svg", {"official": made()}, title="A $title$ & more")
    text = (tmp_path / "a.svg").read_text()
    for words in (
        "A $title$ &amp; more",
        "official, AP",
        "training instances of a class (number, log scale)",
        "AP of a class (0 to 1)",
        ">rare<",
        ">non-rare<",
        "mean of bins",
    ):
        assert words in text, words


def test_without_training_counts_the_axis_is_that_of_the_true_instances(tmp_path):
    plot_scores(tmp_path / "a.svg", {"official": made(num_train=False)}, title="t")
    text = (tmp_path / "a.svg").read_text()
    assert "true instances of a class (number, log scale)" in text
    assert "training instances" not in text


def test_a_column_without_training_counts_takes_the_others_to_the_true_instances(tmp_path):
    plot_scores(tmp_path / "a.svg", {"a": made(), "b": made(num_train=False)}, title="t")
    assert "training instances" not in (tmp_path / "a.svg").read_text()


def test_each_measure_and_column_has_a_panel(tmp_path):
    score = made(measures=("R@50", "R@100"))
    plot_scores(tmp_path / "a.svg", {"official": score, "corrected": score}, title="t")
    text = (tmp_path / "a.svg").read_text()
    for heading in ("official, R@50", "corrected, R@50", "official, R@100", "corrected, R@100"):
        assert text.count(f">{heading}<") == 1
    assert num_points(tmp_path / "a.svg") == [30, 9] * 4


def test_a_class_that_was_never_trained_has_a_place_of_its_own(tmp_path):
    rows = [ClassScore(f"{n}", "", "AP", 0.5, None, 1, 1, n) for n in range(3)]
    plot_scores(tmp_path / "with.svg", {"": BenchmarkScore({}, tuple(rows))}, title="t")
    plot_scores(tmp_path / "without.svg", {"": BenchmarkScore({}, tuple(rows[1:]))}, title="t")
    axis = {
        name: (tmp_path / f"{name}.svg").read_text().split('id="matplotlib.axis_2"')[0] for name in ("with", "without")
    }
    assert ">0<" in axis["with"]
    assert ">0<" not in axis["without"]
    assert num_points(tmp_path / "with.svg") == [3]


def test_all_scores_nought_or_one_class_alone_can_be_drawn(tmp_path):
    rows = [ClassScore(f"{n}", "", "AP", 0.0, 0.0, 1, 0) for n in range(20)]
    plot_scores(tmp_path / "a.svg", {"": BenchmarkScore({}, tuple(rows))}, title="t")
    plot_scores(
        tmp_path / "b.svg", {"": BenchmarkScore({}, (ClassScore("a", "", "AP", 1.0, 1.0, 0, 1, 0),))}, title="t"
    )
    assert num_points(tmp_path / "a.svg") == [20]
    assert num_points(tmp_path / "b.svg") == [1]


def test_a_column_without_scores_says_so_beside_one_with(tmp_path):
    plot_scores(tmp_path / "a.svg", {"official": made(), "empty": BenchmarkScore({}, ())}, title="t")
    assert "no class has a score" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.png.gz"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"plots are \.png or \.svg"):
        plot_scores(tmp_path / name, {"official": made()}, title="t")


def test_nothing_to_plot_is_refused(tmp_path):
    with pytest.raises(UserError, match="no class has a score"):
        plot_scores(tmp_path / "a.png", {"official": made(num_classes=1)}, title="t")


def test_without_matplotlib_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"plots need matplotlib.*pip install 'relmill\[plot\]'"):
        plot_scores(tmp_path / "a.png", {"official": made()}, title="t")


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        plot_scores(tmp_path / "file" / "a.svg", {"official": made()}, title="t")


def test_the_users_style_changes_nothing_and_is_left_as_it_was(tmp_path):
    import matplotlib

    plot_scores(tmp_path / "a.svg", {"official": made()}, title="t")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False}):
        plot_scores(tmp_path / "b.svg", {"official": made()}, title="t")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_the_module_is_light_until_it_draws_and_never_loads_pyplot(tmp_path):
    code = (
        "import sys; from pathlib import Path; from pipeline.evaluate.plot import plot_scores\n"
        "from stages.evaluate.benchmark import BenchmarkScore, ClassScore\n"
        "assert 'matplotlib' not in sys.modules\n"
        "rows = (ClassScore('a', '', 'AP', 0.5, None, 1, 1),)\n"
        f"plot_scores(Path({str(tmp_path / 'a.png')!r}), {{'': BenchmarkScore({{}}, rows)}}, title='t')\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@given(POINTS, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_binned_means_hold_every_class_once_in_any_order(points, chance):
    means = binned_means(points)
    assert means == binned_means(chance.sample(points, len(points)))
    assert sum(means.sizes) == len(points)
    assert list(means.frequencies) == sorted(means.frequencies)
    total = sum(value * size for value, size in zip(means.values, means.sizes, strict=True))
    assert total == pytest.approx(sum(value for _, value in points))


def test_classes_of_unlike_counts_fall_into_equal_bins():
    means = binned_means([(count, count / 100) for count in range(1, 101)])
    assert means.sizes == (10,) * 10
    assert means.values[0] == pytest.approx(0.055)


def test_classes_of_equal_count_share_a_bin():
    means = binned_means([(1, value / 50) for value in range(50)] + [(8, 1.0)] * 50)
    assert means.sizes == (50, 50)
    assert means.frequencies == pytest.approx((1, 8))
    assert means.values == pytest.approx((0.49, 1))
