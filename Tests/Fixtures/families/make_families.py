# SPDX-License-Identifier: Apache-2.0
"""Writes the tiny models of this folder, with what transformers computes for them.

Per model: config.json and model.safetensors as transformers saves them, and expected.safetensors:
  input_ids, attention_mask   [rows, width], padded on the right
  labels                      [rows]
  logits                      [rows, labels]
  loss                        [1], the mean cross-entropy
  grad.NAME                   the gradient of the loss for every parameter, full training
and rope.json, the angles per position that transformers uses for Llama 3.1's settings.

Run: python make_families.py (torch 2.x and transformers 5.x; fp32 on the CPU).
"""
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForSequenceClassification, LlamaConfig, MistralConfig, Qwen3Config, RobertaConfig)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

HERE = pathlib.Path(__file__).parent
LLAMA3 = dict(
    rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
    high_freq_factor=4.0, original_max_position_embeddings=32)
DECODER = dict(
    vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, num_labels=3,
    pad_token_id=0, bos_token_id=None, eos_token_id=None, initializer_range=0.3)
MODELS = {
    "qwen3": Qwen3Config(**DECODER, head_dim=8),
    "mistral": MistralConfig(**DECODER, sliding_window=4),
    "llama": LlamaConfig(**DECODER, rope_parameters=LLAMA3, tie_word_embeddings=True),
    "roberta": RobertaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=34, num_labels=3, pad_token_id=1,
        bos_token_id=2, eos_token_id=3, type_vocab_size=1, initializer_range=0.3,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
}


def main():
    for name, config in MODELS.items():
        torch.manual_seed(11)
        config._attn_implementation = "eager"
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            # Norms and biases off their starting values, so that a swapped one shows.
            for key, parameter in model.named_parameters():
                if parameter.dim() == 1:
                    parameter.add_(0.2 * torch.randn_like(parameter))
        model.eval()
        lengths, width = [11, 5, 9], 11
        ids = torch.full((3, width), config.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, length in enumerate(lengths):
            ids[row, :length] = torch.randint(4, 40, (length,))
            mask[row, :length] = 1
        labels = torch.tensor([2, 0, 1])
        output = model(input_ids=ids, attention_mask=mask, labels=labels)
        output.loss.backward()
        expected = {
            "input_ids": ids, "attention_mask": mask, "labels": labels,
            "logits": output.logits.detach().clone(), "loss": output.loss.detach().reshape(1)}
        for key, parameter in model.named_parameters():
            expected["grad." + key] = parameter.grad.detach().clone().contiguous()
        model.save_pretrained(HERE / name)
        save_file(expected, HERE / name / "expected.safetensors")
        (HERE / name / "generation_config.json").unlink(missing_ok=True)

    config = LlamaConfig(**{**DECODER, "hidden_size": 64}, rope_parameters=LLAMA3)
    frequencies, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    rope = {"settings": LLAMA3, "head_dim": 16, "inv_freq": frequencies.double().tolist()}
    (HERE / "rope.json").write_text(json.dumps(rope, indent=1) + "\n")


if __name__ == "__main__":
    main()
