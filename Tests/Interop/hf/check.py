# SPDX-License-Identifier: Apache-2.0
"""check.py WORK STACK: opens every result in WORK/cases with transformers and PEFT and compares.

Each case folder holds case.json, predict.json (the tool's own logits for the test rows), out/best
(what was written), merged/ (a plain model directory in fp32) and kept/ (the same in the base's own
types). Runs unchanged under transformers 4 and 5. Prints one line per case and writes WORK/results-STACK.json.
"""
import logging
import os
import sys
import traceback
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import peft
import torch
import transformers
from peft import AutoPeftModelForSequenceClassification, PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

import cases

TOLERANCE = 1e-4
MERGE_TOLERANCE = 1e-5  # merged against adapter + base, both computed by the same stack
FORBIDDEN = ("missing adapter keys", "Unexpected keyword arguments", "size mismatch")
STACK_MAJOR = int(transformers.__version__.split(".")[0])


class Result:
    """One case in one stack: the folder, the expectations, and what was found."""

    def __init__(self, work, name):
        self.work, self.name = work, name
        self.folder = os.path.join(work, "cases", name)
        self.case = cases.read_json(os.path.join(self.folder, "case.json"))
        self.best = os.path.join(self.folder, "out", "best")
        self.merged = os.path.join(self.folder, "merged")
        self.kept = os.path.join(self.folder, "kept")
        self.base = os.path.join(work, "bases", self.case["base"])
        self.rows = cases.read_rows(work, self.case["corpus"], "test")
        self.predict = cases.read_json(os.path.join(self.folder, "predict.json"))
        self.logits = torch.tensor([row["logits"] for row in self.predict["rows"]],
                                   dtype=torch.float64).reshape(len(self.predict["rows"]), -1)
        spec = cases.BASES[self.case["base"]]
        self.base_is_readable = STACK_MAJOR >= 5 or spec.get("stack4", True)
        self.tokenizer = self.reference_tokenizer(spec)
        self.ids = [self.tokenizer(row["text"])["input_ids"] for row in self.rows]
        self.peft_model = None
        self.trained = None  # this stack's own logits of what was written, unmerged

    def reference_tokenizer(self, spec):
        """The base's own tokenizer; by file where this stack does not know the class name."""
        if STACK_MAJOR < 5 and spec.get("tokenizer_class") == "TokenizersBackend":
            return transformers.PreTrainedTokenizerFast(
                tokenizer_file=os.path.join(self.base, "tokenizer.json"))
        return AutoTokenizer.from_pretrained(self.base)

    # MARK: Running a model

    def run_one_by_one(self, model):
        """Logits of every row alone: no padding, so no padding rule is needed."""
        model.eval()
        with torch.no_grad():
            return torch.cat([model(input_ids=torch.tensor([i])).logits.double() for i in self.ids])

    def run_padded(self, model):
        """Logits of all rows in one right-padded batch: the saved config must know the pad id."""
        pad = model.config.pad_token_id
        assert pad is not None, "the saved config.json has no pad_token_id"
        width = max(len(i) for i in self.ids)
        ids = torch.tensor([i + [pad] * (width - len(i)) for i in self.ids])
        mask = torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i in self.ids])
        model.eval()
        with torch.no_grad():
            return model(input_ids=ids, attention_mask=mask).logits.double()

    def compare(self, logits, what):
        assert tuple(logits.shape) == tuple(self.logits.shape), (
            f"{what}: logits {list(logits.shape)}, cairn {list(self.logits.shape)}")
        difference = float((logits - self.logits).abs().max())
        assert difference <= TOLERANCE, f"{what}: logits differ by {difference:.2e}"
        return difference

    # MARK: The checks; each gives a short text or raises AssertionError

    def check_document(self):
        """predict --json: finite logits, the right probabilities, the arg max, the label names."""
        rows, labels = self.predict["rows"], self.predict["labels"]
        assert len(rows) == len(self.rows), f"{len(rows)} rows for {len(self.rows)} texts"
        assert bool(torch.isfinite(self.logits).all()), "a logit is not finite"
        spread = float((self.logits - self.logits.mean(0)).abs().max())
        assert spread > 1e-3, f"all rows have the same logits (spread {spread:.1e})"
        kind = self.case["kind"]
        if kind == "regression":
            return "ok"
        names = cases.CORPORA[self.case["corpus"]]["names"]
        assert sorted(labels) == sorted(names), f"labels {labels}, corpus {names}"
        expected = self.logits.softmax(-1) if kind == "single" else self.logits.sigmoid()
        got = torch.tensor([row["probabilities"] for row in rows], dtype=torch.float64)
        worst = float((expected - got).abs().max())
        assert worst <= 1e-5, f"probabilities differ by {worst:.2e}"
        if kind == "single":
            for k, row in enumerate(rows):
                top = self.logits[k].max()
                assert float(top - self.logits[k][row["label_id"]]) <= 1e-6, f"row {k}: label_id"
                assert row["label"] == labels[row["label_id"]], f"row {k}: label and label_id"
        return "ok"

    def check_tokens(self):
        """AutoTokenizer on what was written gives the base's ids, and the tool used the same."""
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.best)
        except ValueError as error:
            try:
                AutoTokenizer.from_pretrained(self.base)
            except ValueError:
                return "as base"
            raise AssertionError(f"AutoTokenizer: {error}") from error
        for row, ids in zip(self.rows, self.ids):
            assert tokenizer(row["text"])["input_ids"] == ids, f"ids differ: {row['text']!r}"
        for row, ids in zip(self.predict["rows"], self.ids):
            if "token_ids" in row:
                assert row["token_ids"] == ids, f"cairn's ids differ: {row['token_ids']} {ids}"
        return "ok"

    def load_base(self):
        return AutoModelForSequenceClassification.from_pretrained(
            self.base, config=AutoConfig.from_pretrained(self.best), dtype=torch.float32)

    def check_peft(self):
        """PeftModel on the base with the written config: exact, no warning, same key set."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = PeftModel.from_pretrained(self.load_base(), self.best)
        said = [str(w.message) for w in caught]
        loud = [text for text in said if any(word in text for word in FORBIDDEN)]
        assert not loud, loud[0][:200]
        file = load_file(os.path.join(self.best, "adapter_model.safetensors"))
        state = peft.get_peft_model_state_dict(model)
        assert set(file) == set(state), f"keys differ: {sorted(set(file) ^ set(state))[:4]}"
        for key, value in file.items():
            assert torch.equal(value.float(), state[key].float()), f"{key} changed on loading"
        adapted = {n for n, m in model.named_modules() if hasattr(m, "lora_A")}
        trained = {k[: -len(".lora_A.weight")] for k in file if k.endswith(".lora_A.weight")}
        assert adapted == trained, f"targets differ: {sorted(adapted ^ trained)[:4]}"
        dead = [k for k, v in file.items() if "lora_B" in k and not bool(v.any())]
        assert not dead, f"never trained: {dead[:3]}"
        self.check_label_names(model.config)
        one, padded = self.run_one_by_one(model), self.run_padded(model)
        worst = max(self.compare(one, "one by one"), self.compare(padded, "padded"))
        self.peft_model, self.trained = model, one
        return f"{worst:.0e}"

    def check_merge_and_unload(self):
        """PEFT's own merge agrees with the tool."""
        assert self.peft_model is not None, "not loaded"
        model = self.peft_model.merge_and_unload()
        return f"{self.compare(self.run_one_by_one(model), 'merge_and_unload'):.0e}"

    def check_auto_peft(self):
        """AutoPeft finds the base by the path that was written."""
        if not self.base_is_readable:
            return "as base"
        try:
            model = AutoPeftModelForSequenceClassification.from_pretrained(
                self.best, num_labels=self.case["label_count"], dtype=torch.float32)
        except ValueError:
            if self.check_tokens() == "as base":
                return "as base"
            raise
        return f"{self.compare(self.run_one_by_one(model), 'AutoPeft'):.0e}"

    def check_plain(self):
        """AutoModel on the adapter directory: exact or an error, never another model."""
        try:
            model = AutoModelForSequenceClassification.from_pretrained(
                self.best, dtype=torch.float32)
            logits = self.run_one_by_one(model)
        except (RuntimeError, ValueError, OSError) as error:
            return "raises " + type(error).__name__
        if not self.base_is_readable:
            return "as base"
        return f"{self.compare(logits, 'AutoModel is silently different'):.0e}"

    def check_full(self, folder):
        """A directory that is a whole model: exact, with label names and tokenizer."""
        names = os.listdir(folder)
        stray = [n for n in names if n.startswith("adapter_")]
        assert not stray, f"adapter files beside a whole model: {stray}"
        model, info = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True)
        for key in ("missing_keys", "mismatched_keys", "unexpected_keys"):
            assert not info[key], f"{key}: {sorted(map(str, info[key]))[:4]}"
        self.check_label_names(model.config)
        one = self.run_one_by_one(model)
        if folder == self.best:
            self.trained = one
        worst = max(self.compare(one, "one by one"),
                    self.compare(self.run_padded(model), "padded"))
        return f"{worst:.0e}"

    def check_merged(self):
        """The merged directory: whole, the checkpoint's own tokenizer, and the same logits."""
        self.check_full(self.merged)
        for name in os.listdir(self.best):
            if "token" in name or name in ("vocab.txt", "vocab.json", "merges.txt"):
                with open(os.path.join(self.best, name), "rb") as a:
                    with open(os.path.join(self.merged, name), "rb") as b:
                        assert a.read() == b.read(), f"{name} is not the checkpoint's"
        assert self.trained is not None, "the checkpoint itself did not open"
        model = AutoModelForSequenceClassification.from_pretrained(
            self.merged, dtype=torch.float32)
        logits = self.run_one_by_one(model)
        worst = float(((logits - self.trained).abs() / self.trained.abs().clamp(min=1)).max())
        assert worst <= MERGE_TOLERANCE, f"merged and adapter + base differ by {worst:.2e}"
        return f"{worst:.0e}"

    def check_kept(self):
        """The directory in the base's types: the merged numbers, each rounded once; it opens."""
        def weights(folder):
            found = {}
            for name in sorted(os.listdir(folder)):
                if name.endswith(".safetensors"):
                    found.update(load_file(os.path.join(folder, name)))
            return found

        exact, kept = weights(self.merged), weights(self.kept)
        assert set(exact) == set(kept), f"names differ: {sorted(set(exact) ^ set(kept))[:4]}"
        for key, value in kept.items():
            assert torch.equal(exact[key].to(value.dtype), value), f"{key} is rounded otherwise"
        spec = cases.BASES[self.case["base"]]
        named = "float32" if self.case["method"] == "full" else spec.get("dtype", "float32")
        types = {str(value.dtype) for value in kept.values()}
        assert types == {"torch." + named}, f"types {types}, the base has {named}"
        sharded = os.path.exists(os.path.join(self.kept, "model.safetensors.index.json"))
        expected = bool(spec.get("sharded")) and self.case["method"] != "full"
        assert sharded == expected, f"sharded: {sharded}, the base: {expected}"
        model, info = AutoModelForSequenceClassification.from_pretrained(
            self.kept, dtype="auto", output_loading_info=True)
        for key in ("missing_keys", "mismatched_keys", "unexpected_keys"):
            assert not info[key], f"{key}: {sorted(map(str, info[key]))[:4]}"
        assert str(model.dtype) == "torch." + named, f"opens as {model.dtype}, stored as {named}"
        assert bool(torch.isfinite(self.run_one_by_one(model)).all()), "a logit is not finite"
        return named

    def check_label_names(self, config):
        count = self.case["label_count"]
        assert config.num_labels == count, f"num_labels {config.num_labels}, expected {count}"
        if self.case["kind"] != "regression":
            saved = [config.id2label[i] for i in range(count)]
            assert saved == self.predict["labels"], f"id2label {saved}"
        problem = {"single": "single_label_classification", "regression": "regression",
                   "multi": "multi_label_classification"}[self.case["kind"]]
        assert config.problem_type == problem, f"problem_type {config.problem_type}"

    def checks(self):
        found = [("document", self.check_document), ("tokens", self.check_tokens)]
        if self.case["method"] == "full":
            found += [("full", lambda: self.check_full(self.best))]
        else:
            found += [("peft", self.check_peft), ("unload", self.check_merge_and_unload),
                      ("auto", self.check_auto_peft), ("plain", self.check_plain)]
        if self.case.get("merged"):
            found.append(("merged", self.check_merged))
        if self.case.get("kept"):
            found.append(("kept", self.check_kept))
        return found


def judge(work, name):
    """All checks of one case: {check: (passed, text)}."""
    folder = os.path.join(work, "cases", name)
    case = cases.read_json(os.path.join(folder, "case.json"))
    if case.get("error"):
        return {"cairn": (False, case["error"])}
    try:
        result = Result(work, name)
        checks = result.checks()
    except Exception as error:  # noqa: BLE001 - whatever it is, the case failed to open
        return {"open": (False, f"{type(error).__name__}: {error}")}
    found = {}
    for label, check in checks:
        try:
            found[label] = (True, check())
        except AssertionError as error:
            found[label] = (False, str(error))
        except Exception as error:  # noqa: BLE001 - a loader may raise anything
            place = traceback.extract_tb(error.__traceback__)[-1].name
            found[label] = (False, f"{type(error).__name__} in {place}: {str(error)[:300]}")
    return found


def main():
    work, stack = os.path.abspath(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(int(os.environ.get("CAIRN_INTEROP_THREADS", "1")))
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    print(f"-- {stack}: transformers {transformers.__version__}, peft {peft.__version__}")
    results = {}
    for name in sorted(os.listdir(os.path.join(work, "cases"))):
        results[name] = found = judge(work, name)
        cells = "  ".join(f"{k} {t if ok else 'FAIL'}" for k, (ok, t) in found.items())
        print(f"{name:52s} {cells}", flush=True)
        for label, (ok, text) in found.items():
            if not ok:
                print(f"    {label}: {text}")
    cases.write_json(os.path.join(work, f"results-{stack}.json"), results)


if __name__ == "__main__":
    main()
