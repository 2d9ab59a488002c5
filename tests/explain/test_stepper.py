"""The stepper: what is in the page, and how it behaves in a real browser, where there is one."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import tinygen as tg
from tinygen.explain import Trace, equations, stepper, trace
from tinygen.explain.__main__ import main
from tinygen.explain.examples import EXAMPLES
from tinygen.explain.stepper import boxes, pictures

ROOT = Path(__file__).parents[2]
DOCS, DERIVATIONS = ROOT / "docs" / "stepper", ROOT / "docs" / "derivations"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)


def data_of(text):
    """What the page hands to its script."""
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text)[1])


def made(example):
    """The trace of an example, and the derivation beside it, if it has one."""
    made = EXAMPLES[example]()
    return (made, None) if isinstance(made, Trace) else (made.trace, made)


def chain(n):
    def f(x):
        for _ in range(n):
            x = x * 1.0
        return x

    return trace(f, np.array(2.0))


def indices(tree):
    """The nodes in a box and in all boxes in it."""
    if isinstance(tree, int):
        return [tree]
    return [index for child in tree["children"] for index in indices(child)]


def most_children(tree):
    if isinstance(tree, int):
        return 0
    return max(len(tree["children"]), *map(most_children, tree["children"]))


@pytest.fixture(scope="module")
def vae():
    """The trace that the size and the speed are promised for."""
    model, random = tg.models.VAE(784, (400,), 20), np.random.default_rng(0)
    x = random.random((8, 784), dtype=np.float32)
    return trace(model.loss, model.initialise(0), *model.draw(x, random))


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_page_has_a_step_for_each_node_and_visit(example):
    t, by_hand = made(example)
    data = data_of(stepper.page(t, by_hand=by_hand))
    assert [node["name"] for node in data["nodes"]] == list(t.names)
    assert data["visits"] == [node.index for node in t.visits]
    assert sorted(indices(data["tree"])) == [*range(len(t.nodes))]


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_page_loads_nothing(example):
    t, by_hand = made(example)
    text = stepper.page(t, by_hand=by_hand)
    assert "default-src 'none'" in text
    assert set(re.findall(r"\b(?:src|href)=(\S*)", text)) == {'"data:,">'}
    assert not re.search(r"@import|\burl\(|\bfetch\(|XMLHttpRequest|\bimport\b", text)
    assert set(re.findall(r"https?://[^\s\"'\\]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1998/Math/MathML",
    }


def test_the_diamond_is_explained_in_its_numbers():
    data = data_of(stepper.page(EXAMPLES["diamond"]()))
    x, a = data["nodes"][:2]
    assert x["sum"] == {"at": [], "terms": [9, 12, 12], "total": 33}
    assert [arrival["formula"] for arrival in x["arrivals"]] == ["db", "da * x", "da * x"]
    assert [arrival["numbers"] for arrival in x["arrivals"]] == ["9", "4 * 3", "4 * 3"]
    assert (a["formula"], a["numbers"], a["code"]) == ("a = x * x", "3 * 3", "a = x * x")


def test_a_sum_of_arrays_shows_its_largest_element():
    random = np.random.default_rng(0)
    w = random.standard_normal((3, 4))
    data = data_of(stepper.page(trace(lambda x: (x * w + x).sum(), np.ones((3, 4)))))
    x = next(node for node in data["nodes"] if node["name"] == "x")
    at = np.unravel_index(np.argmax(np.abs(w + 1)), w.shape)
    assert x["sum"]["at"] == list(at)
    assert sorted(x["sum"]["terms"]) == pytest.approx(sorted([1, w[at]]), rel=1e-5)
    assert x["sum"]["total"] == pytest.approx(1 + w[at], rel=1e-5)


def formulas(data, name):
    node = next(node for node in data["nodes"] if node["name"] == name)
    return [arrival["formula"] for arrival in node["arrivals"]]


def test_what_was_repeated_is_summed_and_the_page_says_so():
    data = data_of(stepper.page(made("dense")[0]))
    assert formulas(data, "b2") == ["dy, summed over axis 0"]
    assert formulas(data, "W2") == ["tanh1.T @ dy"]
    data = data_of(stepper.page(trace(lambda x: (np.ones((3, 4)) * x).sum(), np.ones((3, 1)))))
    assert formulas(data, "x") == ["dmultiply1 * constant1, summed over axis 1"]


def test_slices_that_do_not_overlap_are_put_back_side_by_side(vae):
    data = data_of(stepper.page(vae))
    h = next(node for node in data["nodes"] if node["name"] == "h")
    assert h["putTogether"] and h["sum"] is None
    data = data_of(stepper.page(trace(lambda x: (x[:2] * x[1:]).sum(), np.array([1.0, 2.0, 4.0]))))
    x = next(node for node in data["nodes"] if node["name"] == "x")
    assert not x["putTogether"]
    assert x["sum"] == {"at": [1], "terms": [1, 4], "total": 5}


@pytest.mark.parametrize("example", ["dense", "vae", "gan"])
def test_a_derivation_has_its_equations_and_three_opinions(example):
    t, by_hand = made(example)
    data = data_of(stepper.page(t, by_hand=by_hand))
    assert len(data["lines"]) == len(by_hand.lines) > 10
    for line in data["lines"]:
        assert all(mathml.startswith("<math") for _, mathml in line["equations"])
    gradients = {
        data["nodes"][same["node"]]["name"]: [float(x) for x in same["opinions"]]
        for line in data["lines"]
        for array in line["made"]
        if (same := array["same"]) and same["back"] and None not in same["opinions"]
    }
    parameters = {t.nodes[i].name for i in data["visits"] if t.nodes[i].op is None}
    assert parameters <= {*gradients}
    for by_hand, by_autograd, measured in gradients.values():
        assert by_hand == by_autograd == pytest.approx(measured, rel=1e-5)


def test_the_equations_are_those_of_the_docs():
    pytest.importorskip("latex2mathml")
    assert equations.of_pages(DERIVATIONS) == equations._equations()


def test_an_equation_without_a_number_does_not_run_into_the_next(tmp_path):
    pytest.importorskip("latex2mathml")
    text = "An example: $$a = 1$$ and the rest of $b$.\n\n$$c = 2 \\tag{P7}$$\n\n$$d = 3$$\n"
    (tmp_path / "page.md").write_text(text)
    ((number, mathml),) = equations.of_pages(tmp_path).items()
    assert number == "P7" and re.findall(r"<m[in]>(\w+)<", mathml) == ["c", "2"]


def test_equations_use_letters_that_browsers_know():
    variants = {
        variant
        for mathml in equations._equations().values()
        for variant in re.findall(r'mathvariant="([\w-]+)"', mathml)
    }
    assert variants == {"normal"}  # MathML Core has no other
    assert "𝟏" in equations.mathml("chain.py", "C9")


def test_names_cannot_break_out_of_the_page():
    evil = "</script><script>alert(1)</script><!--"
    x = tg.Tensor(3.0, requires_grad=True)
    text = stepper.page(
        trace(tg.explain.name(x * x, evil)), title="<b>&{{data}}", about="</h1><script>"
    )
    assert evil not in text and "<b>&" not in text and "&lt;b&gt;&amp;{{data}}" in text
    assert data_of(text)["nodes"][-1]["name"] == evil


def test_a_vae_is_a_dozen_boxes_and_under_2_mb(vae):
    text = stepper.page(vae)
    tree = data_of(text)["tree"]
    assert len(text) < 2e6
    assert len(tree["children"]) <= 12
    names = [child["name"] for child in tree["children"] if not isinstance(child, int)]
    assert names == ["encode", "reparameterise", "reconstruction"]


def test_parameters_lie_in_the_layer_that_uses_them(vae):
    tree = data_of(stepper.page(vae))["tree"]
    encode = next(c for c in tree["children"] if not isinstance(c, int) and c["name"] == "encode")
    inside = {vae.nodes[index].name for index in indices(encode)}
    assert {"encoder.W1", "encoder.b1", "encoder.W2", "encoder.b2"} <= inside
    assert "x" not in inside  # the loss reads it, too
    assert {"decoder.W1", "noise"}.isdisjoint(inside)


@pytest.mark.parametrize("example, data", [("vae", {"x", "noise"}), ("gan", {"z"})])
def test_data_lie_outside_of_the_layers(example, data):
    t, _ = made(example)
    tree = boxes.tree(t.nodes)
    assert data <= {t.nodes[child].name for child in tree["children"] if isinstance(child, int)}


def test_two_calls_of_one_layer_are_two_boxes():
    net = tg.nn.mlp([2, 2])

    def loss(p, x):
        return net(p, net(p, x)).sum()

    t = trace(loss, net.initialise(0), np.ones((1, 2), np.float32))
    affine = [node for node in t.nodes if node.op and node.op.name == "affine"]
    assert affine[0].scopes == affine[1].scopes and affine[0].calls != affine[1].calls


def test_ten_thousand_nodes_are_folded():
    t = chain(10_000)
    tree = boxes.tree(t.nodes)
    assert sorted(indices(tree)) == [*range(10_001)]
    assert most_children(tree) <= boxes.BOXES + 1


def test_a_function_450_deep_in_itself(tmp_path):
    def f(x, depth=450):
        return f(x * 1.0, depth - 1) * 1.0 if depth else x

    t = trace(f, np.array(2.0))
    t.save(tmp_path / "deep.html")
    text = (tmp_path / "deep.html").read_text(encoding="utf-8")
    assert sorted(indices(data_of(text)["tree"])) == [*range(len(t.nodes))]


def test_nan_is_shown_where_it_began():
    with np.errstate(all="ignore"):
        t = trace(lambda x: (tg.log(x) * 0.0 + x).sum(), np.array([-1.0, 2.0]))
        data = data_of(stepper.page(t))
    first = data["nodes"][data["notFinite"]["node"]]
    assert first["op"] == "log"
    assert data["arrays"][first["value"]]["numbers"][0] == "nan"
    assert data["arrays"][first["value"]]["bad"] == 1


def test_a_nan_that_begins_on_the_way_back():
    with np.errstate(all="ignore"):
        t = trace(lambda x: tg.sqrt(x).sum(), np.array([0.0, 1.0]))
        bad = data_of(stepper.page(t))["notFinite"]
    assert (t.nodes[bad["node"]].name, bad["visit"]) == ("x", 1)


def pixels(described):
    codes = np.frombuffer(base64.b64decode(described["pixels"]), np.uint8)
    low, high = described["min"], described["max"]
    return np.where(codes == pictures.NOT_FINITE, np.nan, low + codes * ((high - low) / 254))


def test_pixels_are_the_array_to_half_a_code():
    x = np.random.default_rng(0).standard_normal((9, 30))
    drawn = pixels(pictures.picture(x)).reshape(9, 30)
    np.testing.assert_allclose(drawn, x, atol=(x.max() - x.min()) / 254 * 0.51)


def test_nan_among_pixels_has_a_code_of_its_own():
    x = np.random.default_rng(0).standard_normal((9, 30))
    x[2, 3], x[4, 5] = np.nan, np.inf
    described = pictures.picture(x)
    assert described["bad"] == 2
    np.testing.assert_array_equal(np.isnan(pixels(described).reshape(9, 30)), ~np.isfinite(x))


@pytest.mark.parametrize("of", ["columns", "rows"])
def test_what_has_784_pixels_is_images(of):
    x = np.random.default_rng(0).standard_normal((50, 784)).astype(np.float32)
    described = pictures.picture(x.T if of == "columns" else x)
    assert (described["images"], described["rows"], described["columns"]) == (36, 28, 28)
    np.testing.assert_allclose(pixels(described).reshape(36, 784), x[:36], atol=0.03)
    assert described["said"] == f"the first 36 of 50 {of}, each as an image"


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((50, 7, 5, 1), "the first 36 of 50 images"),
        ((2, 7, 5, 3), "each channel as an image"),
        ((5, 7, 5, 8), "the first 36 of 40 channels, each as an image"),
    ],
)
def test_each_channel_of_images_is_an_image(shape, said):
    x = np.random.default_rng(0).standard_normal(shape)
    described = pictures.picture(x)
    count = described["images"]
    assert (count, described["rows"], described["columns"]) == (min(36, shape[0] * shape[3]), 7, 5)
    drawn = pixels(described).reshape(count, 7, 5)
    for i in range(count):
        image, channel = divmod(i, shape[3])
        np.testing.assert_allclose(drawn[i], x[image, :, :, channel], atol=0.03)
    assert described["said"] == said


def test_large_images_are_thinned():
    x = np.random.default_rng(0).standard_normal((40, 99, 66, 1))
    described = pictures.picture(x)
    assert (described["rows"], described["columns"], described["every"]) == (33, 33, (3, 2))
    np.testing.assert_allclose(
        pixels(described).reshape(36, 33, 33), x[:36, ::3, ::2, 0], atol=0.03
    )
    assert described["said"] == "the first 36 of 40 images, 1 of 3 rows, 1 of 2 columns"
    assert pictures.picture(x[:1])["every"] == (1, 1)


def test_a_huge_array_is_thinned():
    x = np.zeros((1000, 3000), np.float32)
    x[990, 0] = 1.0
    described = pictures.picture(x)
    assert (described["rows"], described["columns"]) == (200, 200)
    assert described["said"] == "1 of 5 rows, 1 of 15 columns"
    assert described["max"] == 1.0  # of all numbers, drawn or not
    assert len(described["pixels"]) < 60_000


KINDS = [
    np.zeros((0, 3)),
    np.array([True, False]),
    np.arange(3),
    np.zeros((2, 3, 1, 50)),
    np.float16([6e4, 6e4]),
    np.zeros((0, 30)),
    np.zeros((3, 0)),
    np.full((9, 30), np.nan),
    np.float64([-1, 1] * 50) * np.finfo(float).max,
]


@pytest.mark.parametrize("x", KINDS, ids=lambda x: f"{x.dtype}-{x.shape}")
def test_arrays_of_every_kind_have_a_picture(x):
    with np.errstate(all="raise"):
        described = pictures.picture(pictures.on_host(x))
    assert described["shape"] == [*x.shape]
    json.dumps(described, allow_nan=False)


def test_arrays_of_any_backend_are_drawn(backend):
    x = backend.asarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    data = data_of(stepper.page(trace(lambda x: (x * x + x).sum(), x)))
    node = next(node for node in data["nodes"] if node["name"] == "x")
    assert data["arrays"][node["gradient"]]["numbers"] == [2 * i + 1 for i in range(12)]
    assert node["sum"] == {"at": [2, 3], "terms": [1, 11, 11], "total": 23}


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    t = EXAMPLES["diamond"]()
    text = t._repr_html_()
    assert text.startswith('<iframe title="')  # which screen readers announce
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', text)[1]) == stepper.page(t)


def test_the_command_writes_the_page(tmp_path, capsys):
    main(["diamond", "--out", str(tmp_path / "d.html")])
    about = html.escape(EXAMPLES["diamond"].__doc__)
    assert f"<h1>d <small>{about}" in (tmp_path / "d.html").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == str(tmp_path / "d.html")
    main(["diamond", "--out", str(tmp_path / "new" / "d.html")])
    assert (tmp_path / "new" / "d.html").is_file()


def test_what_the_command_refuses(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vae.html").write_text("dear")
    for words, sentence in {
        "vea": "argument EXAMPLE: invalid choice: 'vea' (did you mean 'vae'?); choose one of diam",
        "": "the following arguments are required: EXAMPLE; choose one of diamond, dense, vae, gan",
        "vae --otu x.html": "unrecognized arguments: --otu x.html (did you mean '--out'?)",
        "vae": "vae.html exists already; --overwrite replaces it, --out names another file",
        "vae --out vae.txt": "vae.txt: expected a name that ends in .html",
    }.items():
        with pytest.raises(SystemExit) as done:
            main(words.split())
        err = capsys.readouterr().err
        assert done.value.code == 2 and err.startswith(f"error: {sentence}")
        assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["vae.html"]
    main(["diamond", "--out", "vae.html", "--overwrite"])
    assert (tmp_path / "vae.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_pages_of_the_docs_are_of_this_program(example):
    """Drawn by the present script, step by step the same graph; run python -m tinygen.explain."""
    kept = (DOCS / f"{example}.html").read_text(encoding="utf-8")
    assert len(kept) < 600_000
    t, by_hand = made(example)
    now = stepper.page(t, example, EXAMPLES[example].__doc__ or "", by_hand)
    data = re.compile(r'(?<=id="data">).*')
    assert data.sub("", kept) == data.sub("", now)
    then, data = data_of(kept), data_of(now)
    for key in ("name", "formula", "code", "inputs"):
        assert [node[key] for node in then["nodes"]] == [node[key] for node in data["nodes"]]


# ---------------------------------------------------------------- in a real browser


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install tinygen[browser]"
    )
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a trace; nothing may be said on the console, and no request may leave the page."""
    said, asked, contexts = [], [], []

    def opens(t, width=1280, height=800, **options):
        path = tmp_path / "trace.html"
        t.save(path)
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(path.as_uri())
        return tab

    yield opens
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def heading(tab):
    return tab.inner_text("#heading")


def test_arrow_keys_go_forward_and_back(opened):
    tab = opened(EXAMPLES["diamond"]())
    seen = [heading(tab)]
    for _ in range(7):
        tab.keyboard.press("ArrowRight")
        seen.append(heading(tab))
    assert [text.split(": ")[0] for text in seen] == [
        *(f"Forward {i} of 4" for i in range(1, 5)), *(f"Back {i} of 4" for i in range(1, 5))
    ]  # fmt: skip
    assert tab.inner_text("#detail .sum:not(.card .sum)") == "9 + 12 + 12 = 33"
    tab.keyboard.press("ArrowRight")  # there is no further step
    assert heading(tab) == seen[-1]
    tab.keyboard.press("ArrowLeft")
    assert heading(tab) == seen[-2]
    said = tab.inner_text("#detail")
    assert "to x, as its first argument:  da * x  =  4 * 3  =  12" in said
    assert "to x, as its second argument:  da * x  =  4 * 3  =  12" in said
    tab.keyboard.press("Home")
    assert heading(tab) == seen[0]


def test_the_slider_moves_one_step_at_a_time(opened):
    tab = opened(EXAMPLES["diamond"]())
    tab.focus("#slider")
    tab.keyboard.press("ArrowRight")
    assert heading(tab) == "Forward 2 of 4: a"
    tab.fill("#slider", "7")
    assert heading(tab) == "Back 4 of 4: the gradient of x"


def test_play_goes_on_by_itself(opened):
    tab = opened(EXAMPLES["diamond"]())
    tab.clock.install(time=0)
    tab.clock.pause_at(10**9)  # else the time between two lines here would count, too
    tab.click("#play")
    tab.clock.run_for(2000)
    assert heading(tab) == "Forward 3 of 4: b"
    tab.click("#play")
    tab.clock.run_for(2000)
    assert heading(tab) == "Forward 3 of 4: b"


def test_boxes_open_and_fold(opened, vae):
    tab = opened(vae)
    folded = tab.locator(".box").count()
    assert folded <= 12
    tab.get_by_role("button", name="encode").click()
    assert tab.locator(".box", has_text="log_var = ").count() == 1
    tab.get_by_role("button", name="▾ encode").click()
    assert tab.locator(".box").count() == folded
    tab.keyboard.press("f")
    assert tab.locator(".box").count() == len(vae.nodes)
    tab.keyboard.press("f")
    assert tab.locator(".box").count() == folded


def test_boxes_do_not_overlap(opened, vae):
    tab = opened(vae)
    tab.keyboard.press("f")
    boxes = [box.bounding_box() for box in tab.locator(".box").all()]
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            beside = a["x"] >= b["x"] + b["width"] or b["x"] >= a["x"] + a["width"]
            assert beside or a["y"] >= b["y"] + b["height"] or b["y"] >= a["y"] + a["height"]


def test_no_edge_passes_behind_a_box(opened, vae):
    tab = opened(vae)
    for _ in range(2):
        crossed = tab.evaluate(
            """() => PATHS.flatMap(({ from, to, path }) => {
              const length = path.getTotalLength();
              const at = [...Array(100).keys()].map((i) => i * length / 99);
              const points = at.map((distance) => path.getPointAtLength(distance));
              const others = [...BUTTONS.keys()].filter((box) => box !== from && box !== to);
              return others.filter((box) => {
                const [x, y] = origin(box);
                return points.some((p) => p.x > x + 2 && p.x < x + box.w - 2
                                       && p.y > y + 2 && p.y < y + box.h - 2);
              }).map((box) => `${from.name} to ${to.name} behind ${box.name}`);
            })"""
        )
        assert crossed == []
        tab.keyboard.press("f")


def test_a_graph_of_a_dozen_nodes_is_open_from_the_beginning(opened):
    t, _ = made("dense")
    assert opened(t).locator(".box").count() == len(t.nodes) <= 12


def test_a_box_can_be_opened_with_the_keyboard(opened, vae):
    tab = opened(vae)
    tab.get_by_role("button", name="reparameterise").focus()
    tab.keyboard.press("Enter")
    assert tab.locator(".box", has_text="z = mu").count() == 1


def test_each_step_opens_the_boxes_that_it_is_in(opened, vae):
    tab = opened(vae)
    for _ in range(2):
        tab.keyboard.press("ArrowRight")
    assert "encoder.b1" in tab.inner_text(".box.leaf.forward")
    tab.keyboard.press("f")
    encode = tab.get_by_role("button", name="▸ encode")
    assert "now: encoder.b1" in encode.inner_text()  # what the user folds stays so, until a step
    tab.click("#follow")
    tab.keyboard.press("ArrowRight")
    assert "now: affine1" in encode.inner_text()
    tab.keyboard.press("End")
    assert "∂ 8 × 20" in encode.inner_text()


def test_what_is_used_twice_is_marked(opened):
    tab = opened(EXAMPLES["diamond"]())
    assert tab.locator("#canvas text").all_text_contents() == ["×2"]


def test_the_focus_is_not_taken_for_the_step(opened):
    tab = opened(EXAMPLES["diamond"]())
    tab.focus(".box.forward")
    tab.keyboard.press("Tab")
    style = "(name) => getComputedStyle(document.querySelector(name))"
    assert tab.evaluate(f"({style})('.box.forward').outlineStyle") == "none"
    assert tab.evaluate(f"({style})('.box:focus').outlineStyle") == "dashed"
    assert tab.evaluate(f"({style})('.box:focus').boxShadow") == "none"


@pytest.mark.parametrize("width", [400, 1280])
def test_the_graph_is_fitted_to_its_room_as_far_as_it_is_legible(opened, vae, width):
    tab = opened(vae, width=width)
    tab.keyboard.press("f")
    zoom = float(tab.evaluate("$('canvas').style.zoom"))
    room = tab.evaluate("$('graph').clientWidth / ROOT.w")
    assert 0.75 <= zoom <= 1 and (zoom <= room or zoom == 0.75)


def test_print_cuts_nothing_off(opened, vae):
    tab = opened(vae)
    tab.keyboard.press("f")
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.evaluate("$('canvas').getBoundingClientRect().width") <= 681
    for part in ("graph", "step"):
        assert tab.evaluate(f"$('{part}').scrollHeight <= $('{part}').clientHeight + 1")


def test_search_opens_what_it_finds(opened, vae):
    tab = opened(vae)
    tab.keyboard.press("/")
    tab.keyboard.type("log_var")
    tab.keyboard.press("Enter")
    assert heading(tab).endswith(": log_var") and "1 of 2" in tab.inner_text("#say")
    assert "forward" in tab.locator(".box", has_text="log_var = ").get_attribute("class")
    tab.keyboard.press("Enter")
    assert heading(tab).endswith(": the gradient of log_var")
    tab.fill("#search", "dlog_var")
    tab.keyboard.press("Enter")
    assert "1 of 1" in tab.inner_text("#say")
    tab.fill("#search", "no such step")
    tab.keyboard.press("Enter")
    assert "No step has" in tab.inner_text("#found")
    assert heading(tab).endswith(": the gradient of log_var")


def test_search_goes_from_one_match_to_the_next(opened, vae):
    tab = opened(vae)
    tab.fill("#search", "gelu")
    seen = []
    for _ in range(4):  # the first one leaves the box
        tab.keyboard.press("Enter")
        seen.append(heading(tab).split(": ")[1])
    assert seen == ["gelu1", "h", "gelu2", "affine3"]  # each of them, or what is made of it


def test_from_a_line_by_hand_to_autograd_and_back(opened):
    _, by_hand = made("vae")
    tab = opened(by_hand)
    tab.get_by_role("button", name="By hand").click()
    assert heading(tab).startswith("By hand 1 of ")
    (at,) = [i for i, line in enumerate(by_hand.lines) if line.code.startswith("dmu, dv =")]
    tab.fill("#slider", str(int(tab.input_value("#slider")) + at))
    assert heading(tab).endswith(": (P54) (P55)")
    assert tab.locator("math").count() == 2
    assert "by hand" in tab.inner_text("#detail") and "autograd" in tab.inner_text("#detail")
    tab.locator("#detail button").first.click()
    assert heading(tab).startswith("Back ")
    tab.get_by_role("button", name="vae.py").last.click()
    assert heading(tab).endswith(": (P54) (P55)")
    tab.fill("#search", "C8")
    tab.keyboard.press("Enter")
    assert "finite difference" in tab.inner_text("#detail")


def test_a_link_leads_to_an_equation_or_a_step(opened):
    _, by_hand = made("gan")
    tab = opened(by_hand)
    for name, expected in {"C8": "By hand", "P31": "By hand", "dlogit": "Back"}.items():
        tab.evaluate(f"location.hash = '{name}'")
        tab.reload()
        assert heading(tab).startswith(expected)


def test_a_trace_alone_has_nothing_by_hand(opened):
    tab = opened(EXAMPLES["diamond"]())
    assert tab.get_by_role("button", name="By hand").count() == 0
    tab.get_by_role("button", name="Back", exact=True).click()
    assert heading(tab).startswith("Back 1 of 4")


@pytest.mark.parametrize("width", [400, 1280])
def test_an_equation_is_read_to_its_end(opened, width):
    _, by_hand = made("vae")
    tab = opened(by_hand, width=width)
    for i in range(len(by_hand.lines)):
        tab.evaluate(f"go(LINES_BEGIN + {i})")
        wide = """(() => { const panel = $("step").getBoundingClientRect();
          return [...document.querySelectorAll(".equation")].map((equation) => {
            const [scroll, number] = equation.children;
            const fits = scroll.scrollWidth <= scroll.clientWidth || scroll.tabIndex === 0;
            const shown = number.getBoundingClientRect().right <= panel.right;
            return fits && shown && parseFloat(scroll.style.fontSize) >= .7; }); })()"""
        assert all(tab.evaluate(wide))
    tab.fill("#search", "(P47)")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.querySelector('.equation .scroll').scrollWidth") > 0
    if width == 400:
        before = heading(tab)
        tab.focus(".equation .scroll")
        for _ in range(3):
            tab.keyboard.press("ArrowRight")
        assert heading(tab) == before
        tab.wait_for_timeout(300)  # it glides
        assert tab.evaluate("document.querySelector('.equation .scroll').scrollLeft > 0")


def test_arrow_keys_step_after_a_search(opened):
    _, by_hand = made("vae")
    tab = opened(by_hand)
    tab.fill("#search", "(P54)")
    tab.keyboard.press("Enter")
    assert "(P54)" in heading(tab)
    (number,) = re.findall(r"By hand (\d+) of", heading(tab))
    tab.keyboard.press("ArrowRight")
    assert heading(tab).startswith(f"By hand {int(number) + 1} of")


def test_a_number_is_not_sought_among_the_numbers_of_lines(opened):
    _, by_hand = made("vae")
    tab = opened(by_hand)
    numbers = {line.number for line in by_hand.lines} - {*range(100)}
    tab.fill("#search", str(min(numbers)))
    tab.keyboard.press("Enter")
    assert "No step has" in tab.inner_text("#found") and tab.is_visible("#found")


def test_the_focus_stays_in_the_panel(opened):
    _, by_hand = made("dense")
    tab = opened(by_hand)
    tab.get_by_role("button", name="By hand").click()
    tab.locator("#detail button").first.click()
    assert tab.evaluate("document.activeElement.id") == "step"


def test_each_part_has_a_tick_and_by_hand_is_returned_to(opened):
    t, by_hand = made("gan")
    tab = opened(by_hand)
    ticks = tab.evaluate("[...$('turns').options].map((option) => Number(option.value))")
    assert ticks == [0, len(t.nodes), len(t.nodes) + len(t.visits)]
    tab.get_by_role("button", name="By hand").click()
    tab.keyboard.press("ArrowRight")
    tab.get_by_role("button", name="Forward").click()
    tab.get_by_role("button", name="By hand").click()
    assert heading(tab).startswith("By hand 2 of")


def test_a_node_leads_to_a_line_by_hand_with_its_array(opened):
    _, by_hand = made("dense")
    tab = opened(by_hand)
    tab.get_by_role("button", name="By hand").click()
    tab.locator(".box", has_text="y = ").click()
    assert heading(tab).startswith("By hand")
    at = int(re.findall(r"By hand (\d+) of", heading(tab))[0]) - 1
    names = {m.node.name for m in by_hand.matches if m.line is by_hand.lines[at]}
    assert "y" in names


def test_the_sum_is_seen_without_scrolling(opened):
    _, by_hand = made("vae")
    tab = opened(by_hand)
    tab.fill("#search", "dlog_var")
    tab.keyboard.press("Enter")
    sum_, room = (tab.locator(name).bounding_box() for name in ("#detail .sum", "#step"))
    assert sum_["y"] + sum_["height"] < room["y"] + room["height"]
    assert tab.locator("#detail h3").first.inner_text() == "The sum where paths meet"


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_small_screen_has_room(opened, example):
    t, by_hand = made(example)
    tab = opened(by_hand or t, width=400)
    assert tab.locator("header").bounding_box()["height"] <= 110
    for bar in tab.locator(".bar").all():
        shown = bar.locator("> :visible:not(.hidden)").all()
        frames = sorted((item.bounding_box() for item in shown), key=lambda frame: frame["x"])
        for left, right in pairwise(frames):
            assert left["x"] + left["width"] < right["x"]
        assert frames[-1]["x"] + frames[-1]["width"] <= 400
    assert tab.is_visible("#about") == (tab.inner_text("#about") != "")


def test_a_name_is_not_cut_in_its_box(opened):
    _, by_hand = made("vae")
    tab = opened(by_hand, width=400)
    tab.keyboard.press("f")
    cut = """[...document.querySelectorAll(".box:not(.group) b")].filter((title) =>
      title.scrollHeight > title.clientHeight + 1 || title.scrollWidth > title.clientWidth)
      .map((title) => title.textContent)"""
    assert not [title for title in tab.evaluate(cut) if "gaussian_kl1" in title]


def test_active_edges_are_on_top(opened, vae):
    tab = opened(vae)
    tab.keyboard.press("f")
    for step in range(0, len(vae.nodes) + len(vae.visits), 5):
        tab.evaluate(f"go({step})")
        ways = tab.evaluate(
            "[...document.querySelectorAll('path')].map((p) => p.className.baseVal)"
        )
        assert ways == sorted(ways, key=bool)


def test_what_is_freed_is_said_and_struck_through(opened):
    tab = opened(EXAMPLES["diamond"]())
    tab.evaluate("go(5)")
    assert heading(tab).endswith("the gradient of b")
    said = tab.inner_text("#detail")
    assert "db: all of it was passed on" in said
    assert "the value of b is freed, unless a variable of the program holds it" in said
    assert tab.locator(".box .freed").all_inner_texts() == [
        "∂ 1"
    ]  # dy, but not db, whose turn it is
    tab.keyboard.press("End")
    assert "dx: it is what was asked for" in tab.inner_text("#detail")
    assert tab.locator(".box .freed").count() == 3
    assert "f opens" not in tab.inner_text("#step")  # there are no boxes to fold


def test_a_long_list_of_senders_is_cut_short(opened):
    long = "x" * 500

    def f(p):
        x = tg.explain.name(p["x"] * 1.0, long)
        parts = [x * float(i) for i in range(200)]
        return sum(parts[1:], parts[0])

    t = trace(f, {"x": np.array(2.0)})
    tab = opened(t)
    tab.evaluate(f"go({len(t.nodes) + [node.name for node in t.visits].index(long)})")
    said = tab.inner_text("[aria-live=polite]")
    assert len(said) < 400 and "and 198 more" in said
    assert tab.inner_text("#detail .sum:not(.card .sum)").count("+") == 10
    assert tab.evaluate("$('step').scrollWidth <= $('step').clientWidth")


def test_a_hash_that_is_no_text(opened):
    tab = opened(EXAMPLES["diamond"]())
    tab.evaluate("location.hash = '100%'")
    tab.reload()
    assert heading(tab).startswith("Forward 1")


def test_a_name_that_is_no_identifier_stands_in_parentheses(opened, vae):
    tab = opened(vae)
    tab.fill("#search", "d(decoder.W2)")
    tab.keyboard.press("Enter")
    assert "d(decoder.W2) arrives from" in tab.inner_text("#say")
    assert "ddecoder" not in tab.inner_text("#step")


def test_the_lines_that_lead_to_an_equation_stand_above_it(opened):
    _, by_hand = made("vae")
    tab = opened(by_hand)
    at = next(i for i, line in enumerate(by_hand.lines) if line.before)
    tab.evaluate(f"go(LINES_BEGIN + {at})")
    assert tab.inner_text("pre.before") == "\n".join(by_hand.lines[at].before)
    assert "letters: see docs/derivations/" in tab.inner_text("#detail")


def test_a_line_that_makes_no_new_array(opened):
    _, by_hand = made("dense")
    tab = opened(by_hand)
    said = tab.evaluate('sentenceByHand({made: [], where: "vae.py:1"})')
    assert said == "vae.py:1 makes no new array."


def test_an_empty_array_of_many_columns_has_a_picture(opened):
    tab = opened(trace(lambda x: (x * 2.0).sum(), np.zeros((0, 30))))
    assert "0 × 30, which is empty" in tab.inner_text("#say")


WORDS = {
    "inf": (np.array([np.inf, np.inf]), "2 numbers, all of them NaN or infinite"),
    "one": (np.zeros(1), "0, in an array of 1 number"),
    "near": (1e6 + np.linspace(0, 0.5, 100), "from 1000000 to 1000000.5"),
    "largest": (np.full(2, np.finfo(float).max), "all 1.798e+308"),
}


@pytest.mark.parametrize("kind", WORDS)
def test_the_range_of_an_array_in_words(opened, kind):
    x, words = WORDS[kind]
    with np.errstate(all="ignore"):
        tab = opened(trace(lambda x: (x * 0.0).sum(), x))
    assert words in tab.inner_text("#say")


def test_a_picture_of_nothing_but_nan_has_no_scale(opened):
    with np.errstate(all="ignore"):
        tab = opened(trace(lambda x: tg.log(x).sum(), np.full((9, 30), -1.0)))
    tab.keyboard.press("ArrowRight")
    cards = tab.locator(".card").all_inner_texts()
    assert "-1" in cards[0] and "270 NaN or infinite" in cards[1]
    assert tab.locator(".card").last.locator(".scale i").count() == 0


def test_names_are_text(opened):
    x = tg.Tensor(3.0, requires_grad=True)
    evil = "<img src=x onerror=console.log(1)>"
    tab = opened(trace(tg.explain.name(x * x, evil)))
    tab.keyboard.press("ArrowRight")
    assert heading(tab) == f"Forward 2 of 2: {evil}"
    assert tab.locator("img").count() == 0


def test_a_nan_is_one_click_away(opened):
    with np.errstate(all="ignore"):
        tab = opened(trace(lambda x: (tg.log(x) * 0.0 + x).sum(), np.array([-1.0, 2.0])))
    tab.get_by_role("button", name="Go there").click()
    assert "log(x)" in tab.inner_text("#detail")
    assert "begins in this step" in tab.inner_text("#detail")


def test_colours_follow_the_system_and_the_switch(opened, vae):
    tab = opened(vae, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(paper)
    tab.click("#theme")
    assert tab.evaluate(paper) != dark
    assert tab.get_attribute("html", "data-theme") == "light"


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_screen(opened, vae, width):
    tab = opened(vae, width=width)
    for step in range(0, len(vae.nodes) + len(vae.visits), 7):
        tab.evaluate(f"go({step})")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("$('step').scrollWidth <= $('step').clientWidth")


def test_a_screen_reader_is_told_the_step(opened):
    tab = opened(EXAMPLES["diamond"]())
    assert "a parameter; its value is 3" in tab.inner_text("[aria-live=polite]")
    tab.keyboard.press("End")
    assert "3 paths meet here" in tab.inner_text("[aria-live=polite]")
    tab.click("summary")
    steps = tab.locator("ol#steps > li")
    steps.last.wait_for()  # the list is made when it is opened
    assert steps.count() == 8
    assert tab.locator("li [aria-current=step]").inner_text() == "back: dx"
    assert tab.locator("h1").count() == 1


def test_a_picture_is_drawn_in_colours(opened, vae):
    tab = opened(vae)
    tab.evaluate(f"go({[node.name for node in vae.nodes].index('encoder.W1')})")
    colours = tab.evaluate(
        "(() => { const c = document.querySelector('canvas');"
        "return new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height)"
        ".data.buffer)).size; })()"
    )
    assert colours > 50


@pytest.mark.parametrize("shape", [(8, 784), (9, 30), (500, 300), (4, 7, 5, 2)])
def test_the_pointer_reads_a_number(opened, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    tab = opened(trace(lambda x: (x * x).sum(), x))
    canvas = tab.locator("canvas").first
    frame = canvas.bounding_box()
    canvas.hover(position={"x": frame["width"] * 0.6, "y": frame["height"] * 0.7})
    read = tab.inner_text(".scale output")
    *image, row, column, value = map(float, re.findall(r"-?[\d.]+(?:e-\d+)?", read))
    if len(shape) == 4:
        index = (int(image[0]) // shape[3], int(row), int(column), int(image[0]) % shape[3])
    else:
        index = (int(image[0]), int(row * 28 + column)) if image else (int(row), int(column))
    assert value == pytest.approx(x[index], abs=(x.max() - x.min()) / 250)


def test_it_opens_and_steps_quickly(opened, vae):
    tab = opened(vae)
    assert tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") < 2000
    steps = len(vae.nodes) + len(vae.visits)
    times = tab.evaluate(
        f"Array.from({{length: {steps}}}, (_, i) => {{ const start = performance.now(); go(i);"
        "document.body.offsetHeight; return performance.now() - start; })"
    )
    assert sorted(times)[steps // 2] < 50


def test_ten_thousand_nodes_are_folded_with_a_word(opened):
    tab = opened(chain(10_000))
    assert "10001 nodes, folded" in tab.inner_text("#many")
    assert tab.locator(".box").count() <= 100
