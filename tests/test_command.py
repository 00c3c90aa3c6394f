"""``python -m lrsched diagnose``: logs as they are written, and what is said of them."""

import re
import subprocess
import sys

import numpy as np
import pytest

import lrsched as L
from lrsched.__main__ import main

PLAN = "Cosine(0.3, 1200).warmup(50)"
SCHEDULE = L.from_text(PLAN)
EVERY_50TH = range(49, 1200, 50)


def lightning(rates):
    """As its CSVLogger with log_every_n_steps=50: many empty cells, validation in between."""
    lines = ["epoch,lr-SGD,step,train_loss,val_loss"]
    for step, rate in rates:
        lines += [f"{step // 200},{rate!r},{step},,", f"{step // 200},,{step},0.5,"]
        lines += [f"{step // 200},,{step},,0.7"] * (step % 200 == 199)
    return "\n".join(lines) + "\n"


def tensorboard(rates):
    lines = [f'"{1.7e9 + step:.3f}","{step}","{np.float32(rate)!s}"' for step, rate in rates]
    return "\n".join(['"Wall time","Step","Value"', *lines])


def keras_log(rates):
    rows = [f"{epoch},0.9,{float(np.float32(rate))!r},0.3" for epoch, rate in rates]
    return "\r\n".join(["epoch,accuracy,learning_rate,loss", *rows, "9,0.9,NA,0.3"])


def german(rates):
    rows = [f"{step};{rate:.6f}".replace(".", ",") for step, rate in rates]
    return "\ufeff" + "\n".join(["Step;learning rate", *rows, ";"])


def by_hand(rates):
    return "\n".join(f"{rate:.6g}" for _, rate in rates) + "\n\n"


def tabbed(rates):
    return "\n".join(["global_step\tlr", *(f"{s}\t{rate:.4e}" for s, rate in rates)])


LOGS = {
    lightning: EVERY_50TH, tensorboard: EVERY_50TH, keras_log: range(9), german: range(0, 400, 7),
    by_hand: range(300), tabbed: range(1200),
}  # fmt: skip


def run(tmp_path, capsys, text, *arguments, plan=PLAN):
    """The exit status, and what is written to stdout and stderr."""
    path = tmp_path / "log.csv"
    if isinstance(text, str):
        text = text.encode()
    if text is not None:
        path.write_bytes(text)
    status = main(["diagnose", str(path), "--schedule", plan, *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize("write", LOGS, ids=lambda write: write.__name__)
def test_logs(write, tmp_path, capsys):
    steps = LOGS[write]
    right = write([(step, SCHEDULE(step)) for step in steps])
    status, out, err = run(tmp_path, capsys, right)
    assert (status, err) == (0, "")
    assert f"{len(steps):,} rates of up to" in out
    assert f"The {len(steps):,} rates are those of the schedule" in out
    slow = write([(step, SCHEDULE(step // 100)) for step in steps])
    status, out, err = run(tmp_path, capsys, slow, "--steps-per-epoch", "100")
    assert (status, err) == (1, "")
    assert re.search("was stepped (at most )?once an epoch", out)
    if min(steps) or steps.step > 1:
        assert f"at the steps from {steps[0]} to {steps[-1]:,} in column" in out


def test_utf_16(tmp_path, capsys):
    text = tabbed([(step, SCHEDULE(step)) for step in range(90)]).encode("utf-16")
    assert run(tmp_path, capsys, text)[0] == 0


def test_columns_are_named(tmp_path, capsys):
    rows = [f"{step},{SCHEDULE(step)},{SCHEDULE(step) / 2}" for step in range(0, 300, 3)]
    text = "\n".join(["batch,lr-a,lr-b", *rows])
    status, out, err = run(tmp_path, capsys, text)
    assert (status, out) == (2, "")
    assert err == "lrsched diagnose: name the column of the rates, one of: batch, lr-a, lr-b\n"
    named = ["--column", "lr-b", "--steps", "batch"]
    assert "0.5 times the one planned" in run(tmp_path, capsys, text, *named)[1]
    assert run(tmp_path, capsys, text, "--column", "lr-a", "--steps", "batch")[0] == 0
    status, out, _ = run(tmp_path, capsys, text, "--column", "lr-a", "--steps", "")
    assert (status, "each update moved the schedule by 3 steps" in out) == (1, True)


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (None, [], "log.csv: No such file"),
        ("", [], "is empty"),
        ("lr\n", [], "column lr has no rates"),
        ("lr\n0.1\nnan\n", [], "line 3, column lr must be a finite rate of at least 0, got 'nan'"),
        ("lr\n-0.1\n", [], "line 2, column lr must be"),
        ("lr\n1e999\n", [], "line 2, column lr must be"),
        ("lr\n0.1 s\n", [], "line 2, column lr must be"),
        ("step,lr\n0,0.1\n0,0.1\n", [], "line 3, column step: step 0 follows 0"),
        ("step,lr\n,0.1\n", [], "line 2, column step must be a whole number"),
        ("step,lr\n0.5,0.1\n", [], "line 2, column step must be a whole number"),
        ("a,b\n1,2\n", ["--column", "lr"], "no column is named lr; there are: a, b"),
        ("lr,lr\n1,2\n", ["--column", "lr"], "2 columns are named lr"),
        ("a,lr\n1,2\n", ["--steps", "b"], "no column is named b"),
        (b"lr\n\xff\n", [], "no text in UTF-8"),
        ("lr\n0.1\n", ["--steps-per-epoch", "0"], "steps_per_epoch must be"),
        ("lr\n0.1\n", ["--plot", "drawn.xyz"], "drawn.xyz must end in one of"),
    ],
)  # fmt: skip
def test_wrong_input(text, arguments, message, tmp_path, capsys):
    status, _, err = run(tmp_path, capsys, text, *arguments)
    assert status == 2
    assert err.startswith("lrsched diagnose: ")
    assert message in err


@pytest.mark.parametrize("plan", ["Cosine(0.3", "open('x')", "Cosine(-1, 5)", "Cosine(0.3)", "0.1"])
def test_wrong_schedule(plan, tmp_path, capsys):
    status, out, err = run(tmp_path, capsys, "lr\n0.1\n", plan=plan)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize("digits", ["{:.2g}", "{:.3g}", "{:.4f}", "{:.1e}", "{!r}"])
def test_printed_digits(digits, tmp_path, capsys):
    """Cut digits accuse nobody, and still show that a rate changed one update late."""
    plan = L.Cosine(0.3, 1000)
    for late in (0, 1):
        rates = [plan(max(t - late, 0)) for t in range(900)]
        text = "\n".join(["lr", *map(digits.format, rates)])
        status, out, _ = run(tmp_path, capsys, text, plan=repr(plan))
        assert status == late
        assert ("as far as the printed digits tell" in out) == (not late and digits != "{!r}")
        assert ("every rate is the one planned 1 update before" in out) == bool(late)


def test_a_few_short_numbers_are_taken_as_they_stand(tmp_path, capsys):
    constant = "\n".join(["lr", *["0.1"] * 30])
    assert "the rate never changed" in run(tmp_path, capsys, constant, plan="Cosine(0.1, 50)")[1]
    stairs = "\n".join(["lr", *["0.1"] * 5, *["0.01"] * 5])
    assert run(tmp_path, capsys, stairs, plan="StepDecay(0.1, 5)")[0] == 0
    assert "0.833333 times" in run(tmp_path, capsys, stairs, plan="StepDecay(0.12, 5)")[1]


def test_as_a_command(tmp_path):
    rates = [SCHEDULE(step) for step in range(100)] + [0.0] * 5
    (tmp_path / "rates.csv").write_text("\n".join(["lr", *map(repr, rates)]))
    drawn = tmp_path / "drawn.svg"

    def command(*arguments):
        program = [sys.executable, "-m", "lrsched", *arguments]
        return subprocess.run(program, capture_output=True, text=True, cwd=tmp_path)

    done = command("diagnose", "rates.csv", "--schedule", PLAN, "--plot", drawn.name)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("rates.csv: 105 rates of up to ")
    assert "Update 100: planned was 0.2987, applied 0; from there on the rate never" in done.stdout
    assert "<svg" in drawn.read_text()
    for wrong in ([], ["diagnose"], ["diagnose", "rates.csv", "--schedule", "x"], ["other"]):
        assert command(*wrong).returncode == 2
    assert command("diagnose", "--help").returncode == 0
