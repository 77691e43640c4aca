"""A scene beside its graph: legible whatever it holds, in the colours of its boxes."""

from dataclasses import replace

from outputs_made import riding
from PIL import Image as Pictures

from pipeline.show.draw import draw_scene, region_colours
from pipeline.show.graph import draw_graph
from schemas import Relation, Scene


def colours(picture: Pictures.Image) -> set[tuple[int, int, int]]:
    return {colour for _, colour in picture.getcolors(maxcolors=1 << 20)}


def panel(scene: Scene, *, max_side: int = 320) -> Pictures.Image:
    drawn = draw_graph(scene, max_side=max_side)
    return drawn.crop((draw_scene(scene, max_side=max_side).width, 0, *drawn.size))


def test_the_picture_is_at_the_left_and_the_graph_names_regions_in_their_colours():
    scene = riding("made-0")
    drawn = draw_graph(scene, max_side=320)
    picture = draw_scene(scene, max_side=320, predicates=False)
    assert drawn.height == picture.height
    assert drawn.crop((0, 0, *picture.size)).tobytes() == picture.tobytes()
    assert set(region_colours([3, 5]).values()) < colours(panel(scene))
    assert (21, 115, 71) in colours(panel(scene))  # a human agrees
    assert drawn.tobytes() == draw_graph(scene, max_side=320).tobytes()


def test_arrows_without_predicates_leave_them_to_the_graph():
    scene = riding("made-0")
    assert draw_scene(scene).tobytes() != draw_scene(scene, predicates=False).tobytes()
    assert (21, 115, 71) not in colours(draw_scene(scene, predicates=False))


def test_a_graph_that_is_higher_than_its_picture_is_all_there():
    scene = riding("made-0", human=None)
    many = tuple(Relation(3, 5, f"predicate {i}", "", 0.5, "tagger") for i in range(40))
    drawn = draw_graph(replace(scene, relations=many), max_side=160)
    assert drawn.height > 40 * 11
    assert drawn.getpixel((0, drawn.height - 1)) == (255, 255, 255)


def test_a_scene_without_relations_says_so():
    empty = replace(riding("made-0"), relations=())
    assert len(colours(panel(empty))) > 1  # there is a text
    assert panel(empty).width < panel(riding("made-0")).width


def test_relations_of_regions_that_do_not_exist_are_passed_over():
    stray = replace(riding("made-0"), relations=(Relation(3, 9, "ride", "", 0.5, "tagger"),))
    assert panel(stray).size == panel(replace(stray, relations=())).size
