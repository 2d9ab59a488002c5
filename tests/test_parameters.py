"""Parameters: one vector with named views, so that whoever writes one writes the other."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict import STRICT, count_syncs

from tinygen.autograd import grad, leaves
from tinygen.backend import get_backend
from tinygen.optim import SGD
from tinygen.parameters import Parameters, part

SHAPES = {"W1": (3, 2), "b1": (2,), "scale": (), "W2": (2, 1, 4)}
SIZE = 6 + 2 + 1 + 8


def counting(backend, dtype=np.float32):
    return Parameters(SHAPES, backend.asarray(np.arange(SIZE), dtype))


def test_the_views_lie_one_behind_the_other_in_the_order_of_the_shapes(backend):
    p = counting(backend)
    assert list(p) == list(SHAPES) and len(p) == 4
    assert {name: view.shape for name, view in p.items()} == SHAPES
    joined = np.concatenate([backend.to_numpy(view).ravel() for view in p.values()])
    np.testing.assert_array_equal(joined, np.arange(SIZE))
    np.testing.assert_array_equal(backend.to_numpy(p["W1"]), [[0, 1], [2, 3], [4, 5]])
    assert float(p["scale"]) == 8


def test_the_order_is_the_callers_not_the_alphabets(backend):
    p = Parameters({"b": (1,), "a": (2,)}, backend.asarray([7, 8, 9], np.float32))
    assert list(p) == ["b", "a"]
    assert float(p["b"][0]) == 7


def test_views_and_vector_share_memory_both_ways(backend):
    p = counting(backend)
    p["b1"][...] = -5
    np.testing.assert_array_equal(backend.to_numpy(p.flat)[6:8], -5)
    p.flat[:] = 3
    for view in p.values():
        np.testing.assert_array_equal(backend.to_numpy(view), 3)


def test_the_vector_is_used_not_copied(backend):
    flat = backend.asarray(np.zeros(SIZE), np.float32)
    p = Parameters(SHAPES, flat)
    assert p.flat is flat
    flat[0] = 9
    assert float(p["W1"][0, 0]) == 9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_way_to_make_more_of_them_keeps_layout_dtype_and_backend(backend, dtype):
    p = counting(backend, dtype)
    made = {
        "zeros": Parameters.zeros(SHAPES, dtype, backend),
        "zeros_like": p.zeros_like(),
        "like": p.like(p.flat + 1),
        "copy": p.copy(),
        "to": p.to(backend),
    }
    for name, q in made.items():
        assert q.shapes == p.shapes and list(q) == list(p), name
        assert q.flat.dtype == dtype and q["W2"].dtype == dtype, name
        assert type(q.flat) is type(p.flat), name
    values = {name: backend.to_numpy(q.flat) for name, q in made.items()}
    expected = np.arange(SIZE)
    np.testing.assert_array_equal(values["zeros"], 0)
    np.testing.assert_array_equal(values["zeros_like"], 0)
    np.testing.assert_array_equal(values["like"], expected + 1)
    np.testing.assert_array_equal(values["copy"], expected)
    np.testing.assert_array_equal(values["to"], expected)


def test_a_copy_and_zeros_have_memory_of_their_own(backend):
    p = counting(backend)
    for q in (p.copy(), p.zeros_like()):
        q.flat[:] = -1
    np.testing.assert_array_equal(backend.to_numpy(p.flat), np.arange(SIZE))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_deepcopy_and_pickle_keep_views_and_vector_together(duplicate):
    """NumPy alone would copy the vector and each view apart, and an update would reach no view."""
    p = counting(get_backend("numpy"))
    q = duplicate(p)
    q.flat[:] = -1
    assert q["W1"][2, 1] == -1
    assert p["W1"][2, 1] == 5


def test_to_another_dtype_and_backend_and_back(backend):
    host = Parameters(SHAPES, np.linspace(-1, 1, SIZE))
    there = host.to(backend, np.float32)
    assert there.flat.dtype == np.float32
    assert type(there.flat) is backend.xp.ndarray
    back = there.to(get_backend("numpy"))
    assert type(back.flat) is np.ndarray and back.flat.dtype == np.float32
    # One rounding to float32 of numbers up to 1: 2^-24 at most.
    np.testing.assert_allclose(back.flat, host.flat, rtol=0, atol=2.0**-24)


@pytest.mark.parametrize("size", [SIZE - 1, SIZE + 1, 0])
def test_a_vector_of_the_wrong_length_is_refused(backend, size):
    with pytest.raises(ValueError, match=rf"need a vector of {SIZE}, got shape \({size},\)"):
        Parameters(SHAPES, backend.asarray(np.zeros(size), np.float32))


def test_a_matrix_is_refused_though_it_has_the_right_number_of_elements(backend):
    with pytest.raises(ValueError, match=r"need a vector of 4, got shape \(2, 2\)"):
        Parameters({"W": (2, 2)}, backend.asarray(np.zeros((2, 2)), np.float32))


def test_like_refuses_a_vector_of_another_length(backend):
    with pytest.raises(ValueError, match=f"need a vector of {SIZE}"):
        counting(backend).like(backend.asarray([0.0], np.float32))


def test_an_unknown_name_is_answered_with_the_known_ones(backend):
    with pytest.raises(KeyError, match="no parameter 'W3'; there are W1, b1, scale, W2"):
        counting(backend)["W3"]
    assert "W3" not in counting(backend)


def test_a_view_is_written_and_not_replaced_by_an_array_elsewhere(backend):
    p = counting(backend)
    view, b1 = p["b1"], backend.to_numpy(p["b1"])
    expected = backend.to_numpy(p.flat).copy()
    expected[6:8] = b1 + 1
    p["b1"] = p["b1"] + 1
    assert p["b1"] is view
    np.testing.assert_array_equal(backend.to_numpy(p.flat), expected)


def test_the_text_tells_the_layout_and_no_values(backend):
    with count_syncs() as syncs:
        text = repr(counting(backend))
    assert text == "Parameters(17 float32: W1 (3, 2), b1 (2,), scale (), W2 (2, 1, 4))"
    assert not syncs


def test_no_parameters_at_all(backend):
    p = Parameters({}, backend.asarray([], np.float32))
    assert len(p) == 0 and dict(p) == {}


def test_making_them_and_looking_them_up_does_not_wait():
    with count_syncs() as syncs:
        p = Parameters.zeros(SHAPES, np.float32, STRICT)
        p.copy().zeros_like().like(p.flat)
        dict(p)
    assert syncs == []


names = st.text("abcxyz", min_size=1, max_size=4)
shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)


@given(st.dictionaries(names, shapes, max_size=6))
def test_any_layout_covers_the_vector_exactly_once(layout):
    size = sum(int(np.prod(shape)) for shape in layout.values())
    p = Parameters(layout, np.zeros(size))
    for k, name in enumerate(layout):
        p[name][...] += k + 1
    expected = [np.full(int(np.prod(s)), k + 1.0) for k, s in enumerate(layout.values())]
    np.testing.assert_array_equal(p.flat, np.concatenate([np.zeros(0), *expected]))


def test_part_takes_what_begins_with_the_prefix_and_shares_it(backend):
    layout = {"encoder.W": (1,), "decoder.W": (2,), "encoder.b": (1,), "W.encoder.": (1,)}
    p = Parameters(layout, backend.asarray(np.arange(5), np.float32))
    found = part(p, "encoder.")
    assert list(found) == ["W", "b"]
    found["W"][...] = 7
    np.testing.assert_array_equal(backend.to_numpy(p.flat), [7, 1, 2, 3, 4])
    assert part(p, "critic.") == {}
    assert list(part(p, "")) == list(layout)


TWO = {"generator.W1": (2, 3), "generator.b1": (3,), "critic.W1": (3, 1), "critic.b1": (1,)}


def test_a_part_lies_in_the_memory_of_the_whole(backend):
    p = Parameters(TWO, backend.asarray(np.arange(13), np.float32))
    g, c = p.part("generator."), p.part("critic.")
    assert g.shapes == {"W1": (2, 3), "b1": (3,)} and c.shapes == {"W1": (3, 1), "b1": (1,)}
    np.testing.assert_array_equal(backend.to_numpy(g.flat), np.arange(9))
    np.testing.assert_array_equal(backend.to_numpy(c.flat), np.arange(9, 13))
    c.flat[...] = 50
    g["b1"][...] = -1
    expected = [*range(6), *[-1] * 3, *[50] * 4]
    np.testing.assert_array_equal(backend.to_numpy(p.flat), expected)
    p["critic.W1"][...] = 7
    np.testing.assert_array_equal(backend.to_numpy(c["W1"]), 7)
    assert backend.xp.may_share_memory(c.flat, p.flat)
    # Whoever copies it, has it alone.
    q = c.copy()
    q.flat[...] = 0
    np.testing.assert_array_equal(backend.to_numpy(c["W1"]), 7)


def test_whoever_writes_a_part_has_written_the_whole():
    """A graph that was recorded on the whole is stale, then, and the other way round."""
    p = Parameters(TWO, np.ones(13))
    g = p.part("generator.")
    for recorded, written in ((p, g), (g, p), (g, p.part("generator."))):
        x = next(iter(leaves(recorded).values()))
        y = (x * x).sum()
        SGD(written).update(written, written.copy(), 0.1)
        with pytest.raises(RuntimeError, match="argument x was written in place"):
            grad(y, x)


def test_an_update_of_one_part_is_no_write_into_another():
    p = Parameters(TWO, np.ones(13))
    g, d = p.part("generator."), p.part("critic.")
    for recorded, written in ((g, d), (d, g)):
        x = next(iter(leaves(recorded).values()))
        y = (x * x).sum()
        SGD(written).update(written, written.copy(), 0.1)
        np.testing.assert_array_equal(grad(y, x), 2 * x.array)


def test_a_part_of_all_and_a_part_of_a_part():
    p = Parameters({"a.b.c": (2,), "a.d": (1,)}, np.arange(3.0))
    assert p.part("").shapes == p.shapes and np.shares_memory(p.part("").flat, p.flat)
    inner = p.part("a.").part("b.")
    assert inner.shapes == {"c": (2,)}
    inner["c"][...] = 9
    np.testing.assert_array_equal(p.flat, [9, 9, 2])


def test_a_part_that_is_not_there_or_in_pieces_is_refused():
    p = Parameters(TWO, np.zeros(13))
    with pytest.raises(ValueError, match=r"none is called judge\.\.\.\.; there is .*critic\.b1"):
        p.part("judge.")
    torn = Parameters({"a.x": (1,), "b.x": (1,), "a.y": (1,)}, np.zeros(3))
    with pytest.raises(ValueError, match=r"others lie between those of 'a\.'"):
        torn.part("a.")
    assert torn.part("b.").shapes == {"x": (1,)}


THREE = {"encoder.W1": (2, 1), "decoder.W1": (1, 2), "decoder.b1": (2,), "critic.b1": (1,)}


def test_several_parts_at_once_keep_their_names_and_lie_in_the_memory_of_the_whole(backend):
    p = Parameters(THREE, backend.asarray(np.arange(7), np.float32))
    q = p.only("encoder.", "decoder.")
    assert list(q.shapes.items()) == list(THREE.items())[:3]
    np.testing.assert_array_equal(backend.to_numpy(q.flat), np.arange(6))
    q["decoder.b1"][...] = -1
    p["encoder.W1"][...] = 9
    np.testing.assert_array_equal(backend.to_numpy(p.flat), [9, 9, 2, 3, -1, -1, 6])
    np.testing.assert_array_equal(backend.to_numpy(q.flat), [9, 9, 2, 3, -1, -1])
    assert list(p.only("decoder.", "critic.")) == list(THREE)[1:]
    assert list(p.only("decoder.", "encoder.")) == list(THREE)[:3]  # the order is that of the names
    assert p.only("decoder.").part("decoder.").shapes == p.part("decoder.").shapes


def test_several_parts_that_are_not_there_or_not_side_by_side_are_refused():
    p = Parameters(THREE, np.zeros(7))
    with pytest.raises(ValueError, match=r"others lie between those of 'encoder\.' and 'critic\.'"):
        p.only("encoder.", "critic.")
    with pytest.raises(
        ValueError, match=r"none is called judge\.\.\. or w\.\.\.; there is .*critic"
    ):
        p.only("judge", "w")


@given(st.lists(st.tuples(st.sampled_from("abc"), shapes), min_size=1, max_size=6))
def test_parts_are_the_views_of_their_names(entries):
    layout = {f"{who}.{k}": shape for k, (who, shape) in enumerate(sorted(entries))}
    p = Parameters(layout, np.arange(float(sum(int(np.prod(s)) for s in layout.values()))))
    for who in {who for who, _ in entries}:
        found = p.part(f"{who}.")
        assert list(found) == [name[2:] for name in layout if name.startswith(who)]
        for name, view in found.items():
            np.testing.assert_array_equal(view, p[f"{who}.{name}"])
            assert view.size == 0 or np.shares_memory(view, p.flat)


def test_taking_a_part_waits_for_nothing():
    p = Parameters.zeros(TWO, np.float32, STRICT)
    with count_syncs() as syncs:
        p.part("critic.")
        p.only("generator.", "critic.")
    assert syncs == []


def test_a_vector_that_is_assigned_is_written(backend):
    """A new vector beside the views would be what the optimiser sees, and not the network."""
    p = counting(backend)
    flat = p.flat
    leaf = leaves(p)["b1"]
    loss = (leaf * leaf).sum()
    p.flat = p.flat - 1
    p.flat *= 2
    assert p.flat is flat and backend.to_numpy(p["b1"]).tolist() == [10, 12]
    with pytest.raises(RuntimeError, match="was written in place"):
        grad(loss, leaf)
    for wrong, shape in ((p.flat[:1], r"\(1,\)"), (1.0, r"\(\)")):
        with pytest.raises(ValueError, match=rf"needs shape \(17,\), got {shape}"):
            p.flat = wrong


def test_a_list_has_the_shape_of_its_parameter():
    p = Parameters({"W": (2, 2)}, np.zeros(4))
    p["W"] = [[1, 2], [3, 4]]
    assert p.flat.tolist() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"W \(2, 2\): got a value of shape \(2,\)"):
        p["W"] = [1, 2]


def test_gradients_are_written_into_parameters():
    p = Parameters({"W": (2,)}, np.zeros(2))
    with pytest.raises(TypeError, match=r"out: expected a Parameters, .* got a dict"):
        p.room_for_gradients({"W": np.zeros(2)})


def test_a_shape_that_is_no_tuple_is_named():
    for make in (
        lambda shapes: Parameters(shapes, np.zeros(7)),
        lambda shapes: Parameters.zeros(shapes, np.float32, get_backend("numpy")),
    ):
        with pytest.raises(TypeError, match=r"a tuple such as \(3,\) as the shape of b, got 3"):
            make({"W": (2, 2), "b": 3})


def test_gathered_of_gradients_that_are_not_there_yet():
    p = Parameters({"W": (2,)}, np.zeros(2))
    with pytest.raises(ValueError, match=r"expected the layout .*W \(2,\)\), got {'W': None}"):
        p.gathered({"W": None})


def test_data_in_the_place_of_parameters():
    with pytest.raises(TypeError, match="arrays by name, before the data, got a ndarray"):
        part(np.ones(3), "encoder.")
