# SPDX-License-Identifier: Apache-2.0
"""The two flags of the command line beside the real Trainer: `cli.py rows WORK ROOT`,
`cli.py train WORK`, `cli.py resume WORK`, `cli.py judge WORK`.

rows     writes WORK/cli/{train,validation}.jsonl, a batch of which is the whole corpus, so that
         no order of rows can matter, and case.json for the Trainer
train    under each stack: the Trainer takes six steps and saves after three
resume   under each stack: the Trainer goes on from what `cairn export` wrote
judge    compares with what `cairn finetune` did: with --from-trainer, and from the start
"""
import csv
import json
import pathlib
import random
import sys

import trainer

ROWS, LENGTH = 8, 14
WORDS = "the a small red dog cat house runs sleeps over under quick old new river stone".split()


def write_rows(work, root):
    from tokenizers import Tokenizer
    base = root / "Tests/Fixtures/golden/models/qwen2"
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    draw, rows = random.Random(5), []
    while len(rows) < 2 * ROWS:
        text = " ".join(draw.choice(WORDS) for _ in range(9))
        # Of one length: the Trainer's collator stacks rows as they are.
        if len(tokenizer.encode(text).ids) == LENGTH:
            rows.append((text, len(rows) % 3))
    folder = work / "cli"
    folder.mkdir(parents=True)
    for name, part in (("train", rows[:ROWS]), ("validation", rows[ROWS:])):
        (folder / f"{name}.jsonl").write_text("".join(
            json.dumps(dict(text=text, label="abc"[label])) + "\n" for text, label in part))
    settings = trainer.case("golden/models/qwen2", ["q_proj", "v_proj"], batch=ROWS)
    (folder / "case.json").write_text(json.dumps(dict(
        settings, base=str(base),
        input_ids=[tokenizer.encode(text).ids for text, _ in rows[:ROWS]],
        labels=[label for _, label in rows[:ROWS]])))


def run(work, resumes):
    folder, stack = work / "cli", trainer.stack()
    settings = json.loads((folder / "case.json").read_text())
    name = f"{stack}-on" if resumes else stack
    real = trainer.trainer(settings, folder / name)
    exported = folder / f"exported-{stack}" / "checkpoint-3"
    real.train(resume_from_checkpoint=str(exported) if resumes else None)
    (folder / f"{name}.json").write_text(json.dumps(trainer.steps(real)))


def of_cairn(output):
    """The steps in a run's history.csv, as the Trainer would list them."""
    with open(output / "history.csv") as file:
        return [dict(step=int(row["step"]), loss=float(row["train_loss"]),
                     grad_norm=float(row["gradient_norm"]))
                for row in csv.DictReader(file) if row["kind"] == "step"]


def judge(work):
    folder, results = work / "cli", []
    for stack in ("tf5", "tf4"):
        def history(which):
            return json.loads((folder / f"{which}.json").read_text())
        results.append(trainer.compare(f"finetune --from-trainer of {stack}",
                                       of_cairn(folder / f"{stack}-cairn"), history(stack)))
        results.append(trainer.compare(f"{stack} goes on from cairn export",
                                       history(f"{stack}-on"), of_cairn(folder / "cairn")))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    work = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "rows":
        write_rows(work, pathlib.Path(sys.argv[3]))
    elif sys.argv[1] == "judge":
        judge(work)
    else:
        run(work, resumes=sys.argv[1] == "resume")
