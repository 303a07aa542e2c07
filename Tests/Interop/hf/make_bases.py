# SPDX-License-Identifier: Apache-2.0
"""make_bases.py WORK: writes tiny seeded base models (WORK/bases) and corpora (WORK/corpora).

Runs under transformers 5. The models are hidden 64, 2 layers, vocabulary 600, with weights lively
enough that a wrong mask, position or norm moves every logit by far more than the tolerance.
"""
import json
import math
import os
import random
import shutil
import sys

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import trainers
from transformers import AutoModelForCausalLM, BertConfig, BertForPreTraining, BertModel
from transformers import LlamaConfig, MistralConfig, PreTrainedTokenizerFast, Qwen2Config
from transformers import Qwen3Config, RobertaConfig, RobertaForMaskedLM, RobertaModel

import cases

VOCABULARY = 600
POSITIONS = 128
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TOPICS = {
    "business": (
        "a small bank,the central bank,an insurance firm,the market,our auditor",
        "raised,cut,sold,bought,priced",
        "its prices,interest rates,3400 shares,government bonds,the loan book",
        "on Wall Street,in the third quarter,for $1.5 million,before the merger,at a loss",
    ),
    "science": (
        "the new telescope,a young physicist,the probe,a robot arm,the chemist",
        "measured,detected,launched,repaired,imaged",
        "a faint signal,a tiny satellite,cosmic dust,a broken sensor,the enzyme",
        "near Jupiter,at -271 degrees,with a laser,during orbit,in the lab",
    ),
    "sport": (
        "the striker,our goalkeeper,the referee,her midfield partner,the coach",
        "scored,missed,won,lost,blocked",
        "two goals,the penalty,the final match,the second half,a free kick",
        "after 90 minutes,before half-time,in extra time,last season,at home",
    ),
}
ENDINGS = ["", "", "", " Isn't it?", " They're sure!", " (see p. 12)", " caf\u00e9 na\u00efve",
           " \u4f60\u597d", " \U0001f600", " x = y_1 + 2;"]


def sentence(rng, topic):
    words = " ".join(rng.choice(part.split(",")) for part in TOPICS[topic])
    if rng.random() < 0.3:
        words = words[0].upper() + words[1:]
    return words + "." + rng.choice(ENDINGS)


def make_row(rng, corpus):
    names, kind = cases.CORPORA[corpus]["names"], cases.CORPORA[corpus]["kind"]
    if kind == "single":
        label = rng.choice(names)
        return {"text": sentence(rng, label), "label": label}
    if kind == "multi":
        chosen = sorted(rng.sample(names, rng.choice([1, 1, 2])))
        text = " ".join(sentence(rng, name) for name in chosen)
        return {"text": text, "labels": chosen}
    parts = [rng.choice(list(TOPICS)) for _ in range(rng.choice([1, 2, 3]))]
    value = sum({"business": -1.0, "science": 0.25, "sport": 1.0}[part] for part in parts)
    return {"text": " ".join(sentence(rng, part) for part in parts), "label": value}


def write_corpora(work):
    for seed, corpus in enumerate(cases.CORPORA):
        rng, seen = random.Random(100 + seed), set()
        folder = os.path.join(work, "corpora", corpus)
        os.makedirs(folder)
        for part, count in (("train", 192), ("dev", 48), ("test", 200)):
            with open(os.path.join(folder, part + ".jsonl"), "w", encoding="utf-8") as file:
                while count:
                    row = make_row(rng, corpus)
                    if row["text"] not in seen:
                        seen.add(row["text"])
                        file.write(json.dumps(row, ensure_ascii=False) + "\n")
                        count -= 1


# MARK: Tokenizers, in the five forms that the families use


def byte_pairs(corpus, split, specials, normalizer, first=False):
    """Byte-level BPE; the special tokens come last as in Qwen and Llama 3, or first."""
    t = Tokenizer(models.BPE())
    if normalizer:
        t.normalizer = normalizer
    if split:
        t.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=VOCABULARY - 20 - len(specials), show_progress=False,
        special_tokens=specials if first else [],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_special_tokens(specials)
    return t


def word_pieces(corpus):
    """A WordPiece vocabulary by counting: the library's trainer differs from run to run."""
    normal, pre = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words, letters = {}, set("abcdefghijklmnopqrstuvwxyz0123456789")
    for line in corpus:
        for word, _ in pre.pre_tokenize_str(normal.normalize_str(line)):
            words[word] = words.get(word, 0) + 1
            letters.update(word)
    order = specials + sorted(letters) + ["##" + letter for letter in sorted(letters)]
    common = [w for w, _ in sorted(words.items(), key=lambda item: (-item[1], item[0]))]
    order += common[:80] + ["##" + word[2:5] for word in common if len(word) > 5]
    vocabulary = {w: i for i, w in enumerate(list(dict.fromkeys(order))[: VOCABULARY - 10])}
    t = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer, t.pre_tokenizer, t.decoder = normal, pre, decoders.WordPiece()
    t.add_special_tokens(specials)
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(w, vocabulary[w]) for w in ("[CLS]", "[SEP]")])
    return t


def make_tokenizer(family, corpus):
    if family in ("qwen2", "qwen3"):
        specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        t = byte_pairs(corpus, SPLIT % "", specials, normalizers.NFC())
        names = dict(pad_token=specials[0], eos_token=specials[2])
    elif family in ("llama", "mistral"):
        specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|pad|>"]
        t = byte_pairs(corpus, SPLIT % "{1,3}", specials, None)
        t.post_processor = processors.TemplateProcessing(
            single=specials[0] + " $A", pair=f"{specials[0]} $A {specials[0]} $B",
            special_tokens=[(specials[0], t.token_to_id(specials[0]))])
        names = dict(bos_token=specials[0], eos_token=specials[1], pad_token=specials[2])
    elif family == "roberta":
        specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        t = byte_pairs(corpus, None, specials, None, first=True)
        ends = [(w, t.token_to_id(w)) for w in ("</s>", "<s>")]
        t.post_processor = processors.RobertaProcessing(*ends, trim_offsets=True,
                                                        add_prefix_space=False)
        names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"),
                         specials), cls_token="<s>", sep_token="</s>")
    else:
        t = word_pieces(corpus)
        names = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
                     mask_token="[MASK]")
    return PreTrainedTokenizerFast(tokenizer_object=t, model_max_length=POSITIONS, **names)


# MARK: Models


def make_model(spec, tokenizer):
    common = dict(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=POSITIONS,
        pad_token_id=tokenizer.pad_token_id)
    if spec["family"] == "bert":
        return (BertModel if spec.get("bare") else BertForPreTraining)(BertConfig(**common))
    if spec["family"] == "roberta":
        common.update(max_position_embeddings=POSITIONS + tokenizer.pad_token_id + 1,
                      type_vocab_size=1, layer_norm_eps=1e-5, bos_token_id=tokenizer.bos_token_id,
                      eos_token_id=tokenizer.eos_token_id)
        if spec.get("bare"):
            return RobertaModel(RobertaConfig(**common), add_pooling_layer=False)
        return RobertaForMaskedLM(RobertaConfig(**common))
    # transformers 4 takes theta 10000 when it meets rope_parameters, so that is the value there.
    rope = {"rope_type": "default", "rope_theta": 1e4 if spec["spelling"] == 5 else 1e6}
    if spec.get("rope3"):
        rope = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
    common.update(num_key_value_heads=2, tie_word_embeddings=spec["tied"], rope_parameters=rope,
                  bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
    kind = {"qwen2": Qwen2Config, "qwen3": Qwen3Config, "llama": LlamaConfig,
            "mistral": MistralConfig}[spec["family"]]
    if spec["family"] == "qwen3":
        common.update(head_dim=32)
    if spec["family"] in ("llama", "mistral"):
        common.update(rms_norm_eps=1e-5)
    if spec["family"] == "mistral":
        common.update(sliding_window=None, head_dim=16)
    return AutoModelForCausalLM.from_config(kind(**common))


def enliven(model, seed):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 2:
                scale = 0.5 if "embed" in name else 0.7 / math.sqrt(p.shape[1])
                p.copy_(torch.randn(p.shape, generator=g) * scale)
            elif name.endswith("bias"):
                p.copy_(torch.randn(p.shape, generator=g) * 0.1)
            else:
                p.copy_(1 + 0.1 * torch.randn(p.shape, generator=g))


def respell_config(folder, spec):
    """Puts config.json into the words of the generation that the base stands for."""
    path = os.path.join(folder, "config.json")
    config = cases.read_json(path)
    rope = config.get("rope_parameters")
    if spec["spelling"] == 4:
        config["torch_dtype"] = config.pop("dtype")
        config["transformers_version"] = "4.57.1"
        if rope:
            del config["rope_parameters"]
            config["rope_theta"] = rope.pop("rope_theta")
            config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
        config.pop("layer_types", None)
    if not spec.get("pad_in_config", True):
        config.pop("pad_token_id", None)
    cases.write_json(path, dict(sorted(config.items())))


def respell_tokenizer(folder, spec):
    path = os.path.join(folder, "tokenizer_config.json")
    config = cases.read_json(path)
    for key in ("is_local", "local_files_only", "backend"):
        config.pop(key, None)
    config["tokenizer_class"] = spec.get("tokenizer_class", "PreTrainedTokenizerFast")
    cases.write_json(path, config)


def write_base(work, name, spec, corpus, seed):
    folder = os.path.join(work, "bases", name)
    tokenizer = make_tokenizer(spec["family"], corpus)
    assert len(tokenizer) <= VOCABULARY, (name, len(tokenizer))
    torch.manual_seed(seed)
    model = make_model(spec, tokenizer)
    enliven(model, seed + 1)
    model = model.to(getattr(torch, spec.get("dtype", "float32")))
    limit = {"max_shard_size": "60KB"} if spec.get("sharded") else {}
    model.save_pretrained(folder, **limit)
    extra = os.path.join(folder, "generation_config.json")
    if os.path.exists(extra):
        os.remove(extra)
    tokenizer.save_pretrained(folder)
    respell_config(folder, spec)
    respell_tokenizer(folder, spec)
    print(f"base {name}: {sorted(os.listdir(folder))}")


def main():
    work = os.path.abspath(sys.argv[1])
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for part in ("bases", "corpora"):
        shutil.rmtree(os.path.join(work, part), ignore_errors=True)
    write_corpora(work)
    rng = random.Random(7)
    corpus = [sentence(rng, rng.choice(list(TOPICS))) for _ in range(2000)]
    for seed, (name, spec) in enumerate(cases.BASES.items()):
        write_base(work, name, spec, corpus, 1000 + 10 * seed)


if __name__ == "__main__":
    main()
