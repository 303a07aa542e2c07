# SPDX-License-Identifier: Apache-2.0
"""selftest.py WORK [--judge]: proves the checker on directories that PEFT itself wrote.

Without --judge: writes good cases in the layout of a checkpoint, with PEFT's own logits as
predict.json, and copies of them with one fault each. With --judge: good cases must pass in every
stack, and each fault must be seen in every stack that its entry names.
"""
import os
import shutil
import sys

import cases

STACKS = ("tf5", "tf4")
# The tensor whose impossible shape makes AutoModel refuse an adapter directory, by family.
GUARDS = {family: family + ".embeddings.word_embeddings.weight" for family in cases.ENCODERS}


# MARK: Faults: name -> (what is done to the folder, check that must fail, in which stacks)


def shift_logits(folder):
    path = os.path.join(folder, "predict.json")
    document = cases.read_json(path)
    document["rows"][3]["logits"][0] += 1e-3
    cases.write_json(path, document)


def spoil_logits(folder):
    path = os.path.join(folder, "predict.json")
    document = cases.read_json(path)
    document["rows"][0]["logits"][0] = float("nan")
    cases.write_json(path, document)


def edit_tensors(name, change):
    def fault(folder):
        from safetensors.torch import load_file, save_file
        path = os.path.join(folder, "out", "best", name)
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, metadata={"format": "pt"})
    return fault


def edit_config(name, **changes):
    def fault(folder):
        path = os.path.join(folder, "out", "best", name)
        cases.write_json(path, {**cases.read_json(path), **changes})
    return fault


def pop_one(part):
    def change(tensors):
        tensors.pop(next(k for k in sorted(tensors) if part in k))
    return change


def zero_one(part):
    def change(tensors):
        tensors[next(k for k in sorted(tensors) if part in k)].zero_()
    return change


def add_one(tensors):
    first = sorted(tensors)[0]
    tensors[first.replace("layers.0", "layers.9")] = tensors[first].clone()


def break_tokenizer(folder):
    path = os.path.join(folder, "out", "best", "tokenizer.json")
    document = cases.read_json(path)
    document["model"]["merges"] = document["model"]["merges"][:5]
    cases.write_json(path, document)


def mix_merged(folder):
    shutil.copy(os.path.join(folder, "out", "best", "adapter_config.json"),
                os.path.join(folder, "merged", "adapter_config.json"))


FAULTS = {
    "logits-off-by-1e-3": (shift_logits, "peft", STACKS),
    "logit-not-a-number": (spoil_logits, "document", STACKS),
    "no-guard-tensor": (
        edit_tensors("model.safetensors", lambda t: t.pop("model.embed_tokens.weight")),
        "plain", ("tf5",)),
    "lora-b-missing": (
        edit_tensors("adapter_model.safetensors", pop_one("lora_B")), "peft", STACKS),
    "lora-b-never-trained": (
        edit_tensors("adapter_model.safetensors", zero_one("lora_B")), "peft", STACKS),
    "extra-tensor": (edit_tensors("adapter_model.safetensors", add_one), "peft", STACKS),
    "targets-too-wide": (
        edit_config("adapter_config.json", target_modules=["q_proj", "v_proj", "o_proj"]),
        "peft", STACKS),
    "alpha-wrong": (edit_config("adapter_config.json", lora_alpha=9), "auto", STACKS),
    "unknown-adapter-key": (edit_config("adapter_config.json", cairn="x"), "peft", STACKS),
    "theta-lost": (
        edit_config("config.json", rope_theta=1e4, rope_parameters=None), "peft", STACKS),
    "no-pad-id": (edit_config("config.json", pad_token_id=None), "peft", STACKS),
    "label-names-lost": (
        edit_config("config.json", id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}),
        "peft", STACKS),
    "tokenizer-changed": (break_tokenizer, "tokens", STACKS),
    "adapter-in-merged": (mix_merged, "merged", STACKS),
}


# MARK: Writing good cases


def seeded_adapter(base, case):
    """A PEFT model with live weights everywhere, as after training."""
    import torch
    from peft import LoraConfig, get_peft_model
    targets = case.target_flag()
    if targets != "all-linear":
        targets = targets.split(",")
    model = get_peft_model(base, LoraConfig(
        task_type="SEQ_CLS", r=case.rank, lora_alpha=case.alpha, target_modules=targets,
        use_dora=case.method == "dora", use_rslora=case.method == "rslora"))
    g = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad and "magnitude" not in name:
                p.add_(torch.randn(p.shape, generator=g) * 0.05)
    return model.eval()


def predictions(model, tokenizer, rows, kind, names):
    import torch
    document = {"labels": names, "rows": []}
    for row in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([tokenizer(row["text"])["input_ids"]])).logits[0]
        some = logits.double().softmax(-1) if kind == "single" else logits.double().sigmoid()
        entry = {"logits": logits.tolist(), "probabilities": some.tolist()}
        if kind == "single":
            entry.update(label_id=int(logits.argmax()), label=names[int(logits.argmax())])
        document["rows"].append(entry)
    return document


def portable_config(folder):
    """config.json in both spellings, as the layout of a checkpoint asks."""
    path = os.path.join(folder, "config.json")
    config = cases.read_json(path)
    rope = config.get("rope_parameters")
    if rope:
        config["rope_theta"] = rope["rope_theta"]
        rest = {k: v for k, v in rope.items() if k != "rope_theta"}
        config["rope_scaling"] = rest if rest["rope_type"] != "default" else None
    config["torch_dtype"] = config["dtype"]
    cases.write_json(path, config)


def copy_tokenizer(source, target):
    for name in os.listdir(source):
        if name.startswith("tokenizer"):
            shutil.copy(os.path.join(source, name), target)


def write_case(work, case):
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
    base_folder = os.path.join(work, "bases", case.base)
    folder = os.path.join(work, "cases", case.name)
    best, merged = os.path.join(folder, "out", "best"), os.path.join(folder, "merged")
    names = cases.CORPORA[case.corpus]["names"]
    tokenizer = AutoTokenizer.from_pretrained(base_folder)
    problem = {"single": "single_label_classification", "regression": "regression",
               "multi": "multi_label_classification"}[case.kind]
    config = AutoConfig.from_pretrained(base_folder, num_labels=case.label_count)
    config.problem_type, config.pad_token_id = problem, tokenizer.pad_token_id
    if names:
        config.id2label = dict(enumerate(names))
        config.label2id = {name: i for i, name in enumerate(names)}
    torch.manual_seed(3)
    model = AutoModelForSequenceClassification.from_pretrained(
        base_folder, config=config, dtype=torch.float32)
    if case.method != "full":
        model = seeded_adapter(model, case)
    document = predictions(model.eval(), tokenizer, cases.read_rows(work, case.corpus, "test"),
                           case.kind, names)
    model.save_pretrained(best)
    if case.method != "full":
        config.save_pretrained(best)
        tensors = load_file(os.path.join(best, "adapter_model.safetensors"))
        tensors[GUARDS.get(case.family, "model.embed_tokens.weight")] = torch.zeros(1)
        save_file(tensors, os.path.join(best, "model.safetensors"), metadata={"format": "pt"})
        adapter = cases.read_json(os.path.join(best, "adapter_config.json"))
        cases.write_json(os.path.join(best, "adapter_config.json"), portable_adapter(adapter))
        whole = model.merge_and_unload()
        whole.save_pretrained(merged)
        portable_config(merged)
        copy_tokenizer(base_folder, merged)
    portable_config(best)
    copy_tokenizer(base_folder, best)
    cases.write_json(os.path.join(folder, "predict.json"), document)
    cases.write_json(os.path.join(folder, "case.json"), dict(
        base=case.base, corpus=case.corpus, kind=case.kind, label_count=case.label_count,
        method=case.method, merged=case.method != "full"))


def portable_adapter(config):
    """The keys that both generations of PEFT know."""
    keys = ("alpha_pattern auto_mapping base_model_name_or_path bias fan_in_fan_out inference_mode "
            "init_lora_weights layers_pattern layers_to_transform lora_alpha lora_dropout "
            "modules_to_save peft_type r rank_pattern revision target_modules task_type use_dora "
            "use_rslora").split()
    return {k: config[k] for k in keys}


def write(work):
    import torch
    import transformers
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    victim = cases.Case("qwen2-untied", "three")
    good = cases.quick() + [
        victim, cases.Case("llama-rope3-bf16-sharded", "two"),
        cases.Case("llama-rope3-fp16", "two", targets="all-linear"), cases.Case("roberta", "value"),
        cases.Case("qwen3", "two", "rslora", "all-linear"), cases.Case("mistral", "two", "full")]
    shutil.rmtree(os.path.join(work, "cases"), ignore_errors=True)
    for case in {c.name: c for c in good}.values():
        write_case(work, case)
    source = os.path.join(work, "cases", victim.name)
    for name, (fault, _, _) in FAULTS.items():
        folder = os.path.join(work, "cases", "fault-" + name)
        shutil.copytree(source, folder)
        fault(folder)


def judge(work):
    passed = failed = 0
    for stack in STACKS:
        results = cases.read_json(os.path.join(work, f"results-{stack}.json"))
        for name, found in results.items():
            bad = [check for check, (ok, _) in found.items() if not ok]
            if name.startswith("fault-"):
                _, check, stacks = FAULTS[name[len("fault-"):]]
                right = check in bad or stack not in stacks
            else:
                right = not bad and len(found) >= 3
            passed, failed = passed + right, failed + (not right)
            if not right:
                print(f"{stack} {name}: failing checks {bad}")
    print(f"{passed} passed, {failed} failed")
    return failed == 0 and passed > 0


if __name__ == "__main__":
    if "--judge" in sys.argv:
        sys.exit(0 if judge(os.path.abspath(sys.argv[1])) else 1)
    write(os.path.abspath(sys.argv[1]))
