# SPDX-License-Identifier: Apache-2.0
"""The peer of the main job: LoRA classification by transformers and PEFT, on a TSV corpus.

usage: peer_finetune.py --model DIR --corpus FILE [...]     (started by results.py)

The corpus has the columns id, split, label, text, and may be gzipped. Prints one JSON line: test
accuracy, real (non-pad) tokens per second of training without its first two steps, the share of
padding, peak memory, seconds. There are two ways to batch, since users do both: --group none is
shuffled and padded to the longest row, --group length puts rows of like length together, the best
that padding can do.
"""
import argparse
import gzip
import json
import resource
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

p = argparse.ArgumentParser()
p.add_argument("--model", required=True)
p.add_argument("--corpus", required=True)
p.add_argument("--dtype", default="bfloat16")
p.add_argument("--epochs", type=int, default=1)
p.add_argument("--batch", type=int, default=16)
p.add_argument("--max-length", type=int, default=128)
p.add_argument("--rank", type=int, default=16)
p.add_argument("--alpha", type=float, default=32)
p.add_argument("--lr", type=float, default=2e-4)
p.add_argument("--targets", default="all-linear")
p.add_argument("--group", choices=["none", "length"], default="none")
p.add_argument("--max-steps", type=int, default=0)
p.add_argument("--seed", type=int, default=42)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--save", default="")
a = p.parse_args()
torch.set_num_threads(a.threads)
torch.manual_seed(a.seed)

opened = gzip.open if a.corpus.endswith(".gz") else open
with opened(a.corpus, "rt", encoding="utf-8") as file:
    rows = [line.rstrip("\n").split("\t") for line in file]
if rows[0][0] == "id":
    rows = rows[1:]
labels = sorted({r[2] for r in rows})
tok = AutoTokenizer.from_pretrained(a.model)
if tok.pad_token_id is None:
    tok.pad_token = tok.eos_token
ids = [tok(r[3], truncation=True, max_length=a.max_length)["input_ids"] for r in rows]
data = {s: [(i, labels.index(r[2])) for i, r in zip(ids, rows) if r[1] == s] for s in ("train", "dev", "test")}

model = AutoModelForSequenceClassification.from_pretrained(a.model, num_labels=len(labels), dtype=getattr(torch, a.dtype))
model.config.pad_token_id = tok.pad_token_id
targets = a.targets if a.targets == "all-linear" else a.targets.split(",")
model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=a.rank, lora_alpha=a.alpha, lora_dropout=0.0, target_modules=targets))
trainable = [q for q in model.parameters() if q.requires_grad]
opt = torch.optim.AdamW(trainable, lr=a.lr, weight_decay=0.01)


def collate(batch):
    width = max(len(i) for i, _ in batch)
    x = torch.full((len(batch), width), tok.pad_token_id)
    m = torch.zeros(len(batch), width, dtype=torch.long)
    for k, (i, _) in enumerate(batch):
        x[k, : len(i)] = torch.tensor(i)
        m[k, : len(i)] = 1
    return x, m, torch.tensor([y for _, y in batch])


def batches(part, g, train):
    order = torch.randperm(len(part), generator=g).tolist() if train else sorted(range(len(part)), key=lambda k: len(part[k][0]))
    if train and a.group == "length":
        chunk = a.batch * 50
        order = [k for c in range(0, len(order), chunk) for k in sorted(order[c : c + chunk], key=lambda k: len(part[k][0]))]
    cut = [order[c : c + a.batch] for c in range(0, len(order), a.batch)]
    if train and a.group == "length":
        cut = [cut[k] for k in torch.randperm(len(cut), generator=g).tolist()]
    for c in cut:
        yield collate([part[k] for k in c])


g = torch.Generator().manual_seed(a.seed)
total = a.epochs * -(-len(data["train"]) // a.batch)
warm = max(1, int(0.1 * total))
sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min((s + 1) / warm, max(0.0, (total - s) / max(1, total - warm))))
real = padded = steps = 0
seconds = 0.0
model.train()
for _ in range(a.epochs):
    for x, m, y in batches(data["train"], g, True):
        t = time.perf_counter()
        loss = model(input_ids=x, attention_mask=m, labels=y).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        opt.step()
        sched.step()
        opt.zero_grad()
        dt = time.perf_counter() - t
        steps += 1
        if steps > 2:
            seconds, real, padded = seconds + dt, real + int(m.sum()), padded + m.numel()
        if a.max_steps and steps >= a.max_steps:
            break
    if a.max_steps and steps >= a.max_steps:
        break
model.eval()
right = None
if not a.max_steps:
    right = 0
    with torch.no_grad():
        for x, m, y in batches(data["test"], g, False):
            right += int((model(input_ids=x, attention_mask=m).logits.argmax(-1) == y).sum())
if a.save:
    model.save_pretrained(a.save)
print(json.dumps({
    "model": a.model.rstrip("/").split("/")[-1], "dtype": a.dtype, "group": a.group, "epochs": a.epochs, "steps": steps,
    "test_accuracy": None if right is None else round(right / len(data["test"]), 4),
    "real_tokens_per_s": round(real / seconds, 1), "padding_share": round(1 - real / padded, 3),
    "train_seconds": round(seconds, 1), "peak_rss_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)}))
