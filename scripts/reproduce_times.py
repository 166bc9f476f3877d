"""Times of `reproduce.py`: measured anew each time, on a machine that is idle."""

from tfderain import presets
from tfderain.benchmarks import timing

PHOTO = ("menet", "erlnet", "jrgr", "rainmer")  # in the order of the text
SIDES = (128, 256, 512, 1024)
# Rows of README's table, and what `benchmark.py` calls them.
STEP = "training step 16x128x128, no normalisation, tf.function"
SPEED = {
    "LiteRT float32, 320x320": "LiteRT float32, 320x320",
    "LiteRT float32, 480x320": "LiteRT float32, 480x320",
    "LiteRT int8, 480x320": "LiteRT int8, 480x320",
    "LiteRT float32, 1920x1080": "LiteRT float32, 1920x1080",
    "training step, 16 patches of 128x128, Winograd": f"{STEP}, Winograd",
    "the same without": STEP,
    "`python -c pass`": "`python -c pass`",
    "`import tfderain`": "`import tfderain`",
    "`tfderain derain`, one 480x320 photo, whole process": (
        "`tfderain derain`, photo 480x320, whole process"
    ),
    "`tfderain derain`, 7680x4320 in tiles: peak memory": (
        "`tfderain derain`, 7680x4320 in tiles, peak resident memory"
    ),
}
SECTIONS = ("start", "inference", "training", "memory")


def form(work, one) -> str:
    """Milliseconds of one form of a preset for a picture of 481x321."""
    models = {one.target: work.form_restorer(one)}
    (found,) = timing.time_models(models, (321, 481))
    return f"{1000 * found.median:.0f}"


def photo(work):
    """Milliseconds of presets for a photo of 480x320, for the text."""
    if not work.times or not all(map(work.wants, PHOTO)):
        return None
    models = {name: work.restorer(name, "litert") for name in PHOTO}
    found = timing.time_models(models, (320, 480), 7)
    *first, last = (f"{1000 * one.median:.0f}" for one in found)
    return f"{', '.join(first)} and {last} ms"


def growth(work):
    """Milliseconds a megapixel and MB of Rainmer, by size, for the text."""
    if not work.times or not work.wants("rainmer"):
        return None
    from tfderain import runtime

    path = presets.find("rainmer")
    models = {str(path): runtime.Restorer(path, tile=None)}
    texts = [], []
    for side in SIDES:
        (one,) = timing.time_models(models, (side, side))
        one = timing.add_memory(one)
        texts[0].append(f"{1000 * one.median / (side * side / 1e6):,.0f}")
        texts[1].append(f"{one.memory.peak / 1e6:,.0f}" if one.memory else "–")
    times, memory = (f"{', '.join(each[:-1])} and {each[-1]}" for each in texts)
    return f"{times} ms a megapixel and a peak of {memory} MB"


def speed(work):
    """README's table of speed, by sections of `benchmark.py`, for `menet`."""
    import marks

    found = {}
    if work.times and work.wants("menet"):
        found = benchmarked(work)
    rows = []
    for label, name in SPEED.items():
        one = found.get(name, {})
        ratio = one.get("ratio") or None
        rows.append([label, one.get("tfderain"), one.get("PyTorch") or None, ratio])
    return marks.Rows(["what", "tfderain", "PyTorch", "ratio"], rows)


def benchmarked(work):
    """Rows of `benchmark.py`, by what they are."""
    import benchmark

    preset, model = benchmark.find_model("menet", work.scratch)
    peer = benchmark.Peer(work.peers) if work.peers else None
    bench = benchmark.Bench(False, peer, work.scratch, preset, model)
    if peer:
        peer.load(model, work.scratch)
    for section in SECTIONS:
        benchmark.SECTIONS[section](bench)
    if peer:
        peer.process.stdin.close()
        peer.process.wait()
    return {row["what"]: row for row in bench.rows}


def profile(work):
    """The time of each operation of `menet` in int8."""
    if not work.times or not work.wants("menet"):
        return None
    file = presets.find("menet") / "model_int8.tflite"
    models = {str(file): work.restorer(file, "litert", threads=2)}
    (one,) = timing.time_models(models, (320, 320))
    one = timing.add_profile(one, 2)
    name = f"savedmodels/menet/{file.name}"
    return f"```\n{name}: {one.profile.table()}\n```"
