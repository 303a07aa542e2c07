# SPDX-License-Identifier: Apache-2.0
"""The Python side of the suite: `trainer.py cases WORK ROOT`, `trainer.py train WORK`,
`trainer.py resume WORK`, `trainer.py judge WORK`.

cases    writes WORK/<case>/case.json: base, rows, settings
train    under each stack: the real Trainer runs six steps and saves after three
resume   under each stack: the real Trainer goes on from the directory that Cairn wrote
judge    compares losses and gradient norms of steps four to six, both ways
"""
import json
import pathlib
import sys

BOUND = 1e-4
STEPS = 6


def case(base, targets, dora=False, schedule="linear", warmup=0, batch=4, decay=0.01, rate=1e-2):
    return dict(base=base, targets=targets, dora=dora, schedule=schedule, warmup_steps=warmup,
                batch_size=batch, weight_decay=decay, learning_rate=rate, steps=STEPS)


CASES = {
    "qwen2-two-linear": case("golden/models/qwen2", ["q_proj", "v_proj"]),
    "qwen2-all-dora-cosine": case("golden/models/qwen2", "all-linear", dora=True,
                                  schedule="cosine", warmup=2),
    "qwen3-two-whole-batch": case("families/qwen3", ["q_proj", "v_proj"], batch=8),
    "bert-all-linear": case("golden/models/bert", "all-linear", decay=0.1),
    "roberta-two-dora": case("families/roberta", ["query", "value"], dora=True, decay=0.1),
    "llama-full": case("golden/models/llama", None, rate=1e-3),
    "roberta-full": case("families/roberta", None, rate=1e-3, decay=0.1),
}


def write_cases(work, root):
    import random
    draw = random.Random(3)
    for name, settings in CASES.items():
        folder = work / name
        folder.mkdir(parents=True)
        base = root / "Tests/Fixtures" / settings["base"]
        vocabulary = json.loads((base / "config.json").read_text())["vocab_size"]
        rows = [[draw.randrange(5, vocabulary) for _ in range(9)] for _ in range(8)]
        (folder / "case.json").write_text(json.dumps(dict(
            settings, base=str(base), input_ids=rows, labels=[i % 3 for i in range(8)])))


def trainer(settings, folder):
    """The real Trainer over the rows in their order."""
    import torch
    from peft import LoraConfig, get_peft_model
    from torch.utils.data import SequentialSampler
    from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments

    class InOrder(Trainer):
        def _get_train_sampler(self, *_):
            return SequentialSampler(self.train_dataset)

    torch.manual_seed(11)
    model = AutoModelForSequenceClassification.from_pretrained(settings["base"], num_labels=3)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = 0  # no row holds it
    if settings["targets"] is not None:
        model = get_peft_model(model, LoraConfig(
            task_type="SEQ_CLS", r=4, lora_alpha=8, target_modules=settings["targets"],
            use_dora=settings["dora"]))
    rows = [dict(input_ids=torch.tensor(ids), labels=torch.tensor(label))
            for ids, label in zip(settings["input_ids"], settings["labels"])]
    per_epoch = len(rows) // settings["batch_size"]
    return InOrder(model, TrainingArguments(
        folder, per_device_train_batch_size=settings["batch_size"],
        num_train_epochs=STEPS // per_epoch, save_steps=STEPS // 2, logging_steps=1,
        report_to=[], use_cpu=True, learning_rate=settings["learning_rate"],
        weight_decay=settings["weight_decay"], lr_scheduler_type=settings["schedule"],
        warmup_steps=settings["warmup_steps"], disable_tqdm=True,
    ), train_dataset=rows)


def steps(trainer):
    return [row for row in trainer.state.log_history if "grad_norm" in row]


def stack():
    import transformers
    return "tf" + transformers.__version__.split(".")[0]


def train(work):
    import peft
    import torch
    import transformers
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, "
          f"peft {peft.__version__}", file=sys.stderr)
    for name in CASES:
        folder = work / name
        run = trainer(json.loads((folder / "case.json").read_text()), folder / stack())
        run.train()
        (folder / f"{stack()}.json").write_text(json.dumps(steps(run)))


def resume(work):
    import torch
    for name in CASES:
        folder = work / name
        exported = folder / "cairn" / stack() / "checkpoint-3"
        torch.load(exported / "optimizer.pt", weights_only=True)
        run = trainer(json.loads((folder / "case.json").read_text()), folder / f"{stack()}-on")
        run.train(resume_from_checkpoint=str(exported))
        (folder / f"{stack()}-on.json").write_text(json.dumps(steps(run)))


def compare(label, found, expected):
    """Steps four to six of two histories."""
    found, expected = found[-3:], expected[-3:]
    numbers = [(row["step"], row["loss"], row["grad_norm"]) for row in found + expected]
    losses = [abs(a["loss"] - b["loss"]) for a, b in zip(found, expected)]
    norms = [abs(a["grad_norm"] / b["grad_norm"] - 1) for a, b in zip(found, expected)]
    right = [row["step"] for row in found] == [4, 5, 6] == [row["step"] for row in expected]
    # 4.57 logs losses with four digits.
    good = right and max(losses) <= BOUND and max(norms) <= 1e-2
    print("ok   " if good else "FAIL ", label, f"losses within {max(losses):.1e},",
          f"norms within {max(norms):.1e}", "" if good else numbers)
    return good


def judge(work):
    results = []
    for name in CASES:
        def history(which):
            return json.loads((work / name / f"{which}.json").read_text())
        for version in ("tf5", "tf4"):
            results.append(compare(f"{name}: Cairn goes on from {version}",
                                   history(f"{version}-cairn"), history(version)))
            on = history(f"{version}-on")
            results.append(compare(f"{name}: {version} goes on from Cairn", on, history("cairn")))
            kept = [row["loss"] for row in on[:3]] == [r["loss"] for r in history("cairn")[:3]]
            print("ok   " if kept else "FAIL ", f"{name}: {version} keeps Cairn's history")
            results.append(kept)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    work = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "cases":
        write_cases(work, pathlib.Path(sys.argv[3]))
    else:
        {"train": train, "resume": resume, "judge": judge}[sys.argv[1]](work)
