# SPDX-License-Identifier: Apache-2.0
"""What the suite runs: the bases, the corpora, and the matrix of fine-tuning cases."""
import dataclasses
import json
import os

# One entry per base model. `spelling` 4 or 5 is the generation of transformers whose config.json
# keys are used; `stack4` is False where transformers 4 itself misreads the base (it knows no
# rope_parameters), so that only our own config.json can be judged there.
BASES = {
    "qwen2-tied": dict(family="qwen2", spelling=5, tied=True),
    "qwen2-untied": dict(family="qwen2", spelling=4, tied=False, pad_in_config=False),
    "qwen3": dict(family="qwen3", spelling=5, tied=True, tokenizer_class="TokenizersBackend"),
    "llama": dict(family="llama", spelling=4, tied=True),
    "llama-rope3-bf16-sharded": dict(
        family="llama", spelling=4, tied=False, rope3=True, dtype="bfloat16", sharded=True),
    "llama-rope3-fp16": dict(
        family="llama", spelling=5, tied=True, rope3=True, dtype="float16", stack4=False),
    "mistral": dict(family="mistral", spelling=4, tied=False),
    "bert-encoder": dict(family="bert", spelling=4, bare=True),
    "bert-pretraining": dict(family="bert", spelling=5),
    "roberta": dict(family="roberta", spelling=4),
    "roberta-encoder": dict(family="roberta", spelling=5, bare=True),
}
ENCODERS = ("bert", "roberta")

# One entry per corpus: what a row's label is, and the label names.
CORPORA = {
    "two": dict(kind="single", names=["business", "sport"]),
    "three": dict(kind="single", names=["business", "science", "sport"]),
    "multi": dict(kind="multi", names=["business", "science", "sport"]),
    "value": dict(kind="regression", names=[]),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One `cairn finetune` run and what its result must satisfy."""

    base: str
    corpus: str
    method: str = "lora"  # lora, rslora, dora or full
    targets: str = "pair"  # pair (the query and the value layer), all-linear, or names
    rank: int = 4
    alpha: int = 8
    epochs: int = 2
    layers: str = ""  # pairs in these layers alone

    @property
    def name(self):
        parts = [self.base, self.corpus, self.method]
        if self.method != "full":
            parts.append(self.targets.replace(",", "+"))
        if self.layers:
            parts.append("layers-" + self.layers)
        return ".".join(parts)

    @property
    def family(self):
        return BASES[self.base]["family"]

    @property
    def kind(self):
        return CORPORA[self.corpus]["kind"]

    @property
    def label_count(self):
        return max(1, len(CORPORA[self.corpus]["names"]))

    def target_flag(self):
        """What the tool is told."""
        if self.targets != "pair":
            return self.targets
        return "query,value" if self.family in ENCODERS else "q_proj,v_proj"


def matrix():
    """Every base with the three common ways, the four main ones with every way and task."""
    cases = []
    for base in BASES:
        cases += [
            Case(base, "two"),
            Case(base, "three", targets="all-linear"),
            Case(base, "three", "dora"),
        ]
    for base in ("qwen2-untied", "llama", "bert-encoder", "roberta"):
        cases += [
            Case(base, "two", "dora", "all-linear"),
            Case(base, "three", "rslora"),
            Case(base, "two", "rslora", "all-linear"),
            Case(base, "multi"),
            Case(base, "multi", "dora", "all-linear"),
            Case(base, "value"),
            Case(base, "value", "rslora", "all-linear"),
            Case(base, "three", "full"),
        ]
    for base in ("qwen2-tied", "qwen3", "mistral", "llama-rope3-bf16-sharded"):
        cases.append(Case(base, "two", "full"))
    for base in ("qwen2-tied", "llama", "bert-encoder", "roberta"):
        cases += [Case(base, "two", targets="all-linear", layers="1"), Case(base, "three", layers="0")]
    for base in ("qwen3", "mistral"):
        cases += [Case(base, "three", "rslora"), Case(base, "two", "dora", "all-linear")]
    return cases


def quick():
    """The subset for continuous integration: every family, method and task once."""
    return [
        Case("qwen2-untied", "three"),
        Case("llama", "three", "dora"),
        Case("bert-encoder", "two", targets="all-linear"),
        Case("qwen2-tied", "multi"),
        Case("qwen3", "value", "rslora", "all-linear"),
        Case("mistral", "two", "full"),
        Case("roberta", "three", "dora", "all-linear"),
        Case("llama-rope3-bf16-sharded", "three"),
        Case("qwen2-tied", "two", targets="all-linear", layers="1"),
        Case("bert-encoder", "two", targets="all-linear", layers="1"),
    ]


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)


def read_rows(work, corpus, part):
    path = os.path.join(work, "corpora", corpus, part + ".jsonl")
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
