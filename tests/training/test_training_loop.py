"""Runs learn, resume to the identical next step, survive an interruption and train on several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from scenes import write_scenes

from anymask.data.sources import open_records
from anymask.errors import BadOption, WeightsError
from anymask.networks.lite import Lite
from anymask.training import loop
from anymask.training.checkpoint import averaged_weights, read_state
from anymask.training.config import Phase, TrainConfig
from anymask.training.loop import learning_rate_factor, train
from anymask.training.recipes import run_recipe, smoke, stage2
from anymask.training.weights import run_weights

TINY = TrainConfig(steps=4, phases=(Phase(1.0, 64, 2, 2),), warmup=1, log_every=1, seed=5)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return write_scenes(tmp_path / "scenes")


def run(scenes: Path, out: Path, config: TrainConfig) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return read_state(train(Lite(), open_records(scenes), config, out, "cpu"))[0]


def test_a_resumed_run_takes_the_identical_next_steps(scenes: Path, tmp_path: Path) -> None:
    whole = run(scenes, tmp_path / "whole", TINY)
    stopped = replace(TINY, steps=4)
    interrupt_after(2, stopped, scenes, tmp_path / "parts")
    resumed = run(scenes, tmp_path / "parts", TINY)
    assert whole.keys() == resumed.keys()
    different = [k for k in whole if not torch.equal(whole[k], resumed[k])]
    assert different == []


def interrupt_after(steps: int, config: TrainConfig, scenes: Path, out: Path) -> None:
    """Ctrl-C in the middle of a run: the loop saves before it leaves."""
    real = loop.train_step

    def stopping(*args: object, **kwargs: object) -> dict[str, float]:
        if args[-2] == steps:
            raise KeyboardInterrupt
        return real(*args, **kwargs)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(scenes, out, config)


@pytest.mark.slow
def test_a_few_minutes_on_four_scenes_learn_them(scenes: Path, tmp_path: Path) -> None:
    config = replace(TINY, steps=150, phases=(Phase(1.0, 96, 4, 2),), scale=(0.9, 1.1), log_every=10, lr=2e-3)
    run(scenes, tmp_path / "run", config)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["last_iou"] > 0.7
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]


def test_the_log_and_the_card_tell_where_the_run_is(scenes: Path, tmp_path: Path) -> None:
    run(scenes, tmp_path / "run", TINY)
    card = read_state(tmp_path / "run" / "state.safetensors")[1]
    assert card["step"] == 4 and card["images"] == 8
    assert card["config"]["phases"][0]["size"] == 64
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [1, 2, 3, 4]


def test_frozen_layers_do_not_move(scenes: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Lite()
    for parameter in model.image_encoder.trunk.stem.parameters():
        parameter.requires_grad_(False)
    before = model.image_encoder.trunk.stem.weight.clone()
    train(model, open_records(scenes), TINY, tmp_path / "run", "cpu")
    assert torch.equal(before, model.image_encoder.trunk.stem.weight)


@pytest.mark.slow
def test_two_processes_train_one_model(scenes: Path, tmp_path: Path) -> None:
    card = run_on_two_processes(scenes, tmp_path, "")
    assert card["images"] == 4 * 2 * 2


@pytest.mark.slow
def test_two_processes_that_go_by_the_clock_end_together(scenes: Path, tmp_path: Path) -> None:
    card = run_on_two_processes(scenes, tmp_path, "minutes=0.05")
    assert card["seconds"] >= 3 and card["images"] == card["step"] * 2 * 2


NO_THREAD_IS_LEFT = """
from pathlib import Path
names = [comm.read_text().strip() for comm in Path("/proc/self/task").glob("*/comm")]  # none where not Linux
assert not [name for name in names if "gloo" in name], names
"""


def run_on_two_processes(scenes: Path, folder: Path, settings: str) -> dict[str, Any]:
    """The card of a run of the smoke recipe, whose processes have given back the threads of their group."""
    script = folder / "job.py"
    script.write_text(
        "import sys\nfrom anymask.training.recipes import run_recipe\n"
        f"run_recipe('smoke', [sys.argv[1]], sys.argv[2], {settings})\n{NO_THREAD_IS_LEFT}"
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
    ]
    done = subprocess.run(
        [*command, str(scenes), str(folder / "run")], capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return read_state(folder / "run" / "state.safetensors")[1]


@pytest.mark.slow
def test_ctrl_c_keeps_the_state_on_disk(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    call = f"run_recipe('smoke', ['{scenes}'], '{out}', steps=100000)"
    # background jobs are started deaf to it
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heard}; from anymask.training.recipes import run_recipe; {call}"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "log.jsonl").exists() or not (out / "log.jsonl").read_text():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    assert read_state(out / "state.safetensors")[1]["step"] >= 1


def test_the_smoke_recipe_runs_and_its_average_loads(scenes: Path, tmp_path: Path) -> None:
    run_recipe("smoke", [scenes], tmp_path / "run", device="cpu", steps=2)
    Lite().load_state_dict(averaged_weights(tmp_path / "run"))


def test_the_second_stage_goes_on_from_the_weights_of_the_first(scenes: Path, tmp_path: Path) -> None:
    run_recipe("smoke", [scenes], tmp_path / "first", device="cpu", steps=2)
    small = {"steps": 1, "phases": (Phase(1.0, 128, 1, 2),), "bf16": False, "lr": 0.0, "trunk_lr": 0.0}
    start = str(tmp_path / "first")
    run_recipe("stage2", [scenes], tmp_path / "second", device="cpu", weights_from=start, **small)
    first, second = (averaged_weights(tmp_path / name) for name in ("first", "second"))
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


def test_the_mean_of_two_runs_lies_between_them(scenes: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "first", tmp_path / "second"]
    for seed, run in enumerate(runs):
        run_recipe("smoke", [scenes], run, device="cpu", steps=2, seed=seed)
    first, second = (averaged_weights(run) for run in runs)
    mean = run_weights(*runs).state_dict()
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert all(
        torch.allclose(mean[name].double(), (first[name].double() + second[name]) / 2) for name in first
    )


def test_only_later_stages_start_from_weights(scenes: Path, tmp_path: Path) -> None:
    later = "stage2, train_accelerator, boxes, edges, finetune"
    with pytest.raises(BadOption, match=f"lite starts afresh; choose one of {later}"):
        run_recipe("lite", [scenes], tmp_path, weights_from="lite")


def test_unknown_recipes_and_settings_are_refused_with_the_choices(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="smoke"):
        run_recipe("huge", [scenes], tmp_path)
    with pytest.raises(BadOption, match="learning"):
        run_recipe("smoke", [scenes], tmp_path, learning=1)


def test_the_average_starts_where_the_weights_do_and_lags_behind(scenes: Path, tmp_path: Path) -> None:
    state = run(scenes, tmp_path, replace(TINY, steps=1, average_ramp=1, average_decay=0.9))
    torch.manual_seed(0)
    before = Lite().state_dict()["mask_decoder.up_2.weight"]
    after, average = (state[f"{kind}.mask_decoder.up_2.weight"] for kind in ("model", "average"))
    assert not torch.equal(before, after)
    assert torch.allclose(average, 0.9 * before + 0.1 * after, atol=1e-6)


def test_a_damaged_state_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state.safetensors").write_bytes(b"not a state")
    with pytest.raises(WeightsError, match=r"state\.safetensors"):
        averaged_weights(tmp_path)


def test_the_rate_warms_up_and_falls() -> None:
    config = replace(smoke()[1], steps=100, warmup=10, final_lr=0.01)
    factors = [learning_rate_factor(config, s, s / 100) for s in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] or max(factors) == factors[10]
    assert all(a >= b for a, b in zip(factors[10:], factors[11:], strict=False))
    assert factors[-1] == pytest.approx(0.01, abs=0.005)


def test_a_run_of_some_minutes_ends_by_the_clock_and_so_do_its_phases_and_rate(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock on which a step takes six seconds: ten steps a minute, the second half of them larger."""
    ticks = TickingClock(monkeypatch, 6.0)
    phases = (Phase(0.5, 64, 2, 2), Phase(1.0, 96, 1, 2))
    config = replace(TINY, steps=2, minutes=1.0, phases=phases, warmup=1, final_lr=0.0)
    run(scenes, tmp_path / "run", config)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert np.diff([0] + [row["images"] for row in rows]).tolist() == [2] * 5 + [1] * 5
    assert rows[-1]["seconds"] == pytest.approx(60)
    assert ticks.rates == pytest.approx([0.5 * (1 + np.cos(np.pi * s / 10)) for s in range(10)])


def test_minutes_count_on_when_a_run_is_resumed(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TickingClock(monkeypatch, 6.0)
    interrupt_after(4, replace(TINY, minutes=1.0), scenes, tmp_path / "run")
    run(scenes, tmp_path / "run", replace(TINY, minutes=1.0))
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 11))


class TickingClock:
    """In the place of the loop's clock: stands still but for a step, which takes so many seconds; keeps the
    rates that were set.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now, self.rates = 0.0, list[float]()
        real_step, real_rate = loop.train_step, loop.set_learning_rate

        def step(*args: Any) -> dict[str, float]:
            numbers = real_step(*args)
            self.now += seconds
            return numbers

        def rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
            self.rates.append(factor)
            real_rate(optimiser, factor)

        monkeypatch.setattr(loop, "train_step", step)
        monkeypatch.setattr(loop, "set_learning_rate", rate)
        monkeypatch.setattr(loop.time, "monotonic", lambda: self.now)


def test_a_run_ends_by_steps_or_by_the_clock_not_by_both(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="steps and minutes: .* give one"):
        run_recipe("smoke", [scenes], tmp_path / "run", device="cpu", steps=2, minutes=1.0)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(0.0, "greater than 0"), (-1.0, "greater than 0"), (float("nan"), "a finite number")],
)
def test_minutes_that_are_none_are_refused(minutes: float, expected: str) -> None:
    with pytest.raises(BadOption, match=f"minutes={minutes}: input should be {expected}"):
        replace(TINY, minutes=minutes)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ({"lr": "abc"}, "lr=abc: input should be a valid number"),
        ({"steps": 2.5}, "steps=2.5: input should be a valid integer"),
        ({"steps": -3}, "steps=-3: .* greater than or equal to 1"),
        ({"seed": "x"}, "seed=x: input should be a valid integer"),
        ({"bf16": "maybe"}, "bf16=maybe: input should be a valid boolean"),
        ({"scale": (2.0,)}, "scale.1=.*: field required"),
        (
            {"phases": [{"until": 1, "size": 50, "batch": 1, "objects": 2}]},
            "phases.0.size=50: .* multiple of 32",
        ),
        ({"objective": {"dise": 2.0}}, "objective.dise=2.0: unexpected"),
        ({"objective": {"first": {"point": 2}}}, "objective.first.point=2: .* less than or equal to 1"),
    ],
)
def test_a_wrong_value_is_named_before_any_photo_is_read(
    tmp_path: Path, setting: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(BadOption, match=complaint):
        run_recipe("smoke", [tmp_path / "missing.tar"], tmp_path / "run", device="cpu", **setting)


def test_parts_of_a_recipe_can_be_given_as_json(scenes: Path, tmp_path: Path) -> None:
    """Of the objective what is named, the rest stays as the recipe has it."""
    phases = [{"until": 1, "size": 64, "batch": 1, "objects": 2}]
    given = {"phases": phases, "objective": {"dice": 2.0, "first": {"point": 0.7}}}
    run_recipe("stage2", [scenes], tmp_path / "run", device="cpu", steps=1, bf16=False, **given)
    config = read_state(tmp_path / "run" / "state.safetensors")[1]["config"]
    assert [phase["size"] for phase in config["phases"]] == [64]
    plain = stage2()[1].objective
    assert plain.blur == 4.0 and plain.first.box == 0.45
    expected = replace(plain, dice=2.0, first=replace(plain.first, point=0.7))
    assert config["objective"] == json.loads(json.dumps(asdict(expected)))
