# SPDX-License-Identifier: Apache-2.0
"""The peer of the step benchmark: transformers and PEFT on the same model and the same rows.

usage: peer_step.py THREADS   (started by cairn-bench step --peer PYTHON)
       peer_step.py --save-base DIR

Reads a JSON object per line and answers with one: "prepare" opens the model in a type, with LoRA on
the named layers, and pads the rows to the longest of them, as the default collator does; "sample"
times one step: forward, backward, clipping, AdamW. --save-base writes a model of the shapes of
Qwen2.5-0.5B with random weights in bf16, which both sides open.
"""
import json
import resource
import sys
import time

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, Qwen2Config, Qwen2ForCausalLM

REST = 0.02


def save_base(directory):
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
        num_attention_heads=14, num_key_value_heads=2, pad_token_id=0, tie_word_embeddings=True,
        rope_theta=1000000.0)
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(directory)


class Step:
    def __init__(self, request):
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[request["type"]]
        rows = request["rows"]
        model = AutoModelForSequenceClassification.from_pretrained(
            request["model"], num_labels=request["labels"], dtype=dtype)
        if model.config.pad_token_id is None:
            model.config.pad_token_id = 0
        targets = request["adapt"]
        self.model = get_peft_model(model, LoraConfig(
            task_type="SEQ_CLS", r=request["rank"], lora_alpha=2 * request["rank"],
            target_modules=targets[0] if targets == ["all-linear"] else targets))
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-4)
        longest = max(map(len, rows))
        self.batch = {
            "input_ids": torch.tensor([row + [0] * (longest - len(row)) for row in rows]),
            "attention_mask": torch.tensor(
                [[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
            "labels": torch.arange(len(rows)) % request["labels"],
        }
        self.model.train()
        # The first step allocates and packs.
        self.run()

    def run(self):
        start = time.perf_counter()
        self.model(**self.batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.perf_counter() - start


def main():
    if sys.argv[1] == "--save-base":
        return save_base(sys.argv[2])
    torch.set_num_threads(int(sys.argv[1]))
    versions = (f"torch {torch.__version__}, transformers {transformers.__version__}, "
                f"peft {peft.__version__}")
    print(json.dumps({"version": versions}), flush=True)
    step = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "prepare":
            step = None
            step = Step(request)
            answer = {"tokens": int(step.batch["attention_mask"].sum()),
                      "padded_tokens": step.batch["attention_mask"].numel()}
        else:
            # A library's threads spin for some milliseconds after their last product.
            seconds = step.run()
            time.sleep(REST)
            answer = {"seconds": seconds, "peak_rss_bytes": 1024 * resource.getrusage(
                resource.RUSAGE_SELF).ru_maxrss}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
