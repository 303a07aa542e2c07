# SPDX-License-Identifier: Apache-2.0
"""Writes what the tests of Trainer checkpoints read: `python make_fixtures.py`.

order.json: the parameters that train, in the order in which the optimizer numbers them within its
groups, and whether weight decay moves them; made with transformers 5.23 and peft 0.21. Under 4.57
and 0.17 `--older` adds the cases that differ there: RoBERTa in full, and no other.
checkpoint-3: a directory of transformers' Trainer after three of six steps; run.json has the rows,
four to a step in order, what the Trainer logged of all six steps, and the first numbers of the
optimizer's slots by parameter.
"""
import json
import pathlib
import shutil
import sys
import tempfile

import torch
import transformers
from torch.utils.data import SequentialSampler
from peft import LoraConfig, get_peft_model
from transformers import (AutoConfig, AutoModelForSequenceClassification, Trainer,
                          TrainingArguments)

here = pathlib.Path(__file__).resolve().parent
bases = {
    **{name: here.parent / "golden/models" / name for name in ("qwen2", "llama", "bert")},
    **{name: here.parent / "families" / name for name in ("qwen3", "mistral", "roberta")},
}
encoders = ("bert", "roberta")


def model_name(name):
    """PEFT's name of a parameter as the model's own."""
    name = name.removeprefix("base_model.model.").replace(".modules_to_save.default.", ".")
    name = name.replace(".default.weight", ".weight").replace("_vector.weight", "_vector")
    return name


def adapted(base, targets, dora=False, rank=2):
    config = AutoConfig.from_pretrained(bases[base], num_labels=3)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config)
    if targets is None:
        return model
    return get_peft_model(model, LoraConfig(
        task_type="SEQ_CLS", r=rank, lora_alpha=2 * rank, target_modules=targets, use_dora=dora))


def order():
    cases = {}
    for base in bases:
        some = ["query", "value"] if base in encoders else ["q_proj", "v_proj"]
        for label, targets, dora in (("two", some, False), ("all-linear", "all-linear", False),
                                     ("dora", "all-linear", True), ("full", None, False)):
            model = adapted(base, targets, dora)
            with tempfile.TemporaryDirectory() as folder:
                trainer = Trainer(model, TrainingArguments(folder, use_cpu=True, report_to=[]))
                decayed = set(trainer.get_decay_parameter_names(model))
            cases[f"{base} {label}"] = [
                [model_name(name), name in decayed]
                for name, parameter in model.named_parameters() if parameter.requires_grad
            ]
    return cases


class InOrder(Trainer):
    def _get_train_sampler(self, *_):
        return SequentialSampler(self.train_dataset)


def checkpoint(folder):
    """Three of six steps, two steps an epoch."""
    model = AutoModelForSequenceClassification.from_pretrained(bases["bert"], num_labels=3)
    torch.manual_seed(1)
    model = get_peft_model(model, LoraConfig(
        task_type="SEQ_CLS", r=2, lora_alpha=4, target_modules=["query", "value"], use_dora=True))
    rows = [dict(input_ids=torch.randint(5, 500, (7,)), labels=torch.tensor(i % 3))
            for i in range(8)]
    trainer = InOrder(model, TrainingArguments(
        folder, per_device_train_batch_size=4, num_train_epochs=3, save_steps=3, logging_steps=1,
        eval_strategy="steps", eval_steps=3, report_to=[], use_cpu=True, learning_rate=1e-2,
        weight_decay=0.01, disable_tqdm=True,
    ), train_dataset=rows, eval_dataset=rows)
    trainer.train()
    names = [model_name(n) for n, p in model.named_parameters() if p.requires_grad]
    return names, dict(
        input_ids=[row["input_ids"].tolist() for row in rows],
        labels=[row["labels"].item() for row in rows],
        steps=[row for row in trainer.state.log_history if "grad_norm" in row])


def main():
    cases = order()
    if "--older" in sys.argv:
        known = json.loads((here / "order.json").read_text())
        other = {f"{case} older": rows for case, rows in cases.items() if known[case] != rows}
        print("transformers", transformers.__version__, "differs in", list(other))
        (here / "order.json").write_text(json.dumps(known | other, indent=0) + "\n")
        return
    (here / "order.json").write_text(json.dumps(cases, indent=0) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        names, run = checkpoint(folder)
        source = pathlib.Path(folder) / "checkpoint-3"
        target = here / "checkpoint-3"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for name in ("adapter_config.json", "adapter_model.safetensors", "optimizer.pt",
                     "scheduler.pt", "trainer_state.json"):
            shutil.copy(source / name, target / name)
        config = json.loads((target / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = "bert"
        (target / "adapter_config.json").write_text(json.dumps(config, indent=2))
    saved = torch.load(here / "checkpoint-3/optimizer.pt", weights_only=True)
    (decayed, plain) = (group["params"] for group in saved["param_groups"])
    numbered = [n for n in names if not n.endswith("bias")] + [
        n for n in names if n.endswith("bias")]
    assert decayed + plain == list(range(len(names)))
    run["slots"] = {
        name: {slot: saved["state"][number][slot].flatten()[:3].tolist()
               for slot in ("exp_avg", "exp_avg_sq")}
        for number, name in enumerate(numbered)
    }
    (here / "run.json").write_text(json.dumps(run, indent=0) + "\n")


main()
