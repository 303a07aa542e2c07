# SPDX-License-Identifier: Apache-2.0
"""Trains tiny language models with Cairn and with torch, and compares every loss.

usage: check.py CAIRN GOLDEN WORK     GOLDEN is Tests/Fixtures/golden

Cairn takes all rows in one step, so that its three epochs are three steps in any order of rows,
with a constant rate and no clipping. A first run at a rate of 1e-30 saves the adapter as it
starts: torch begins with the same A, and with B = 0.
"""
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import safetensors.torch
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

ROWS, JUDGED, STEPS, RATE, DECAY = 24, 12, 3, 2e-3, 0.01
BASES = {"qwen2": True, "llama": False}  # whether lm_head is the embedding table
METHODS = {
    "lora": ["--rank", "4", "--alpha", "8"],
    "rslora": ["--rank", "4", "--alpha", "8", "--use-rslora"],
    "dora": ["--rank", "4", "--alpha", "8", "--use-dora"],
    "full": ["--method", "full"],
}
# fp32 against fp32 over a few hundred tokens; a step moves parameters by RATE, and what rounding
# turns there shows in the next loss.
LOSS_BOUND, TOKEN_BOUND = 2e-5, 2e-4
# In units of max(1, |logit|).
MERGE_BOUND = 1e-5

passed = failed = 0


def check(name, good, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}: {detail}")


def close(name, found, expected, bound):
    # A NaN is not close to anything.
    check(name, abs(found - expected) <= bound, f"{found}, expected {expected}")


def cairn(program, *words):
    done = subprocess.run([program, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cairn {' '.join(words)}\n{done.stderr}")
    return json.loads(done.stdout)


def texts(golden, name, count):
    lines = (golden / f"dataset/{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines[:count]]


def make_base(source, target, is_tied):
    """The fixture with its table as the head, or with a head of its own."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    config["tie_word_embeddings"] = is_tied
    (target / "config.json").write_text(json.dumps(config))
    tensors = safetensors.torch.load_file(source / "model.safetensors")
    for head in ("lm_head.weight", "score.weight"):
        tensors.pop(head, None)
    if not is_tied:
        table = tensors["model.embed_tokens.weight"].float()
        noise = torch.randn(table.shape, generator=torch.Generator().manual_seed(7))
        tensors["lm_head.weight"] = 0.05 * noise
    path = target / "model.safetensors"
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


def mean_loss(model, rows):
    """The sum of the rows' losses over their predicted tokens, one row at a time: no padding."""
    total = sum(
        model(input_ids=row, labels=row).loss * (row.shape[1] - 1) for row in rows
    )
    return total / sum(row.shape[1] - 1 for row in rows)


def torch_model(base, start, method):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if method == "full":
        return model.train()
    model = PeftModel.from_pretrained(model, start, is_trainable=True)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            with torch.no_grad():
                parameter.zero_()
    return model.train()


def case(program, golden, work, base, method):
    name = f"{base}-{method}"
    directory = work / base
    folder = work / name
    common = [
        "finetune", str(directory), "--task", "causal", "--data", str(work / "train.txt"),
        "--eval-data", str(work / "judged.txt"), "--epochs", str(STEPS), "--batch-size", str(ROWS),
        "--schedule", "constant", "--warmup", "0", "--clip", "none", "--weight-decay", str(DECAY),
        "--precision", "fp32", "--save-every", "1", "--token-budget", "97", "--json",
        *METHODS[method],
    ]
    cairn(program, *common, "--learning-rate", "1e-30", "-o", str(folder / "start"))
    run = folder / "run"
    report = cairn(program, *common, "--learning-rate", str(RATE), "-o", str(run))
    end = run / f"epoch-{STEPS}"

    tokenizer = AutoTokenizer.from_pretrained(end)
    rows, judged = (
        [tokenizer(t, return_tensors="pt", add_special_tokens=True)["input_ids"] for t in part]
        for part in (texts(golden, "train", ROWS), texts(golden, "test", JUDGED))
    )
    model = torch_model(directory, folder / "start" / "epoch-1", method)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = mean_loss(model, rows)
        loss.backward()
        optimizer.step()
        found = report["epochs"][step]["train_loss"]
        close(f"{name}: loss of step {step + 1}", found, loss.item(), LOSS_BOUND * 4**step)
        with torch.no_grad():
            expected = mean_loss(model, judged).item()
        found = report["epochs"][step]["val_loss"]
        close(f"{name}: validation loss {step + 1}", found, expected, LOSS_BOUND * 4 ** (step + 1))
    check(f"{name}: it learns", loss.item() < report["epochs"][0]["train_loss"] - 0.01)

    reference = opened(program, name, work, directory, end, method, judged)
    merged(program, name, folder, end, reference, judged, BASES[base])


def opened(program, name, work, directory, end, method, judged):
    """The checkpoint in transformers or PEFT, token by token, beside `predict` and `evaluate`."""
    if method == "full":
        model, info = AutoModelForCausalLM.from_pretrained(
            end, dtype=torch.float32, output_loading_info=True
        )
        for key, names in info.items():
            # The second name of a tied table is no tensor of its own.
            check(f"{name}: {key}", not names, names)
    else:
        settings = json.loads((end / "adapter_config.json").read_text())
        check(f"{name}: task_type", settings["task_type"] == "CAUSAL_LM", settings["task_type"])
        base = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
        model = PeftModel.from_pretrained(base, end)
    model.eval()
    asked = [str(end), "--data", str(work / "judged.txt"), "--json"]
    rows = cairn(program, "predict", *asked)["rows"]
    check(f"{name}: rows", len(rows) == len(judged), len(rows))
    total, count = 0.0, 0
    for number, (row, ids) in enumerate(zip(rows, judged)):
        check(f"{name}: token ids of row {number}", row["token_ids"] == ids[0].tolist())
        with torch.no_grad():
            scores = torch.log_softmax(model(input_ids=ids).logits[0, :-1].double(), -1)
        expected = scores.gather(1, ids[0, 1:, None])[:, 0]
        found = torch.tensor(row["token_log_likelihoods"], dtype=torch.float64)
        worst = (found - expected).abs().max().item() if len(found) == len(expected) else math.nan
        close(f"{name}: tokens of row {number}", worst, 0, TOKEN_BOUND)
        total, count = total - expected.sum().item(), count + len(expected)
    perplexity = cairn(program, "evaluate", *asked)["perplexity"]
    expected = math.exp(total / count)
    close(f"{name}: perplexity", perplexity / expected, 1, TOKEN_BOUND)
    return model


def merged(program, name, folder, end, reference, judged, is_tied):
    """What `merge` makes, opened by transformers: the logits of base and adapter."""
    target = folder / "merged"
    cairn(program, "merge", str(end), "-o", str(target), "--dtype", "fp32", "--json")
    model, info = AutoModelForCausalLM.from_pretrained(
        target, dtype=torch.float32, output_loading_info=True
    )
    for key, names in info.items():
        check(f"{name} merged: {key}", not names, names)
    stored = safetensors.torch.load_file(target / "model.safetensors")
    check(f"{name} merged: lm_head", ("lm_head.weight" in stored) != is_tied, sorted(stored))
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    check(f"{name} merged: tied", (table is head) == is_tied)
    tokenizer = AutoTokenizer.from_pretrained(target)
    text = "the river runs to the sea"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    model.eval()
    worst = 0.0
    for row in [*judged, ids]:
        with torch.no_grad():
            found, expected = model(input_ids=row).logits, reference(input_ids=row).logits
        scale = expected.abs().clamp(min=1)
        worst = max(worst, ((found - expected).abs() / scale).max().item())
        # max() passes over a NaN that comes second.
        check(f"{name} merged: finite", bool(found.isfinite().all()))
    close(f"{name} merged: logits", worst, 0, MERGE_BOUND)
    print(f"{name}: merged, largest difference {worst:.1e}")


def main(program, golden, work):
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for file, part, count in (("train", "train", ROWS), ("judged", "test", JUDGED)):
        lines = "".join(text + "\n" for text in texts(golden, part, count))
        (work / f"{file}.txt").write_text(lines, encoding="utf-8")
    for base, is_tied in BASES.items():
        make_base(golden / "models" / base, work / base, is_tied)
        for method in METHODS:
            case(program, golden, work, base, method)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
