# SPDX-License-Identifier: Apache-2.0
"""client.py download REPO CACHE [REVISION] | upload DIR REPO | scan CACHE | load REPO: real client.

Runs under an environment that holds huggingface_hub; HF_ENDPOINT and HF_TOKEN say where and who.
"""
import sys


def download(repository, cache, revision=None):
    from huggingface_hub import snapshot_download

    print(snapshot_download(repository, cache_dir=cache, revision=revision))


def upload(directory, repository):
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(repository, exist_ok=True)
    print(api.upload_folder(folder_path=directory, repo_id=repository).oid)


def scan(cache):
    """What the client makes of a cache: repositories, revisions, files, and what it warns of."""
    from huggingface_hub import scan_cache_dir

    found = scan_cache_dir(cache)
    for warning in found.warnings:
        print("warning", warning)
    for repository in found.repos:
        for revision in repository.revisions:
            refs = ",".join(sorted(revision.refs))
            print(repository.repo_id, revision.commit_hash, refs, len(revision.files))


def load(repository):
    """Logits of a model by its name, through transformers and, for an adapter, PEFT."""
    import json

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(repository)
    model = AutoModelForSequenceClassification.from_pretrained(repository).eval()
    with torch.no_grad():
        logits = model(**tokenizer("a b c", return_tensors="pt")).logits
    print(json.dumps(logits[0].tolist()))


def make(directory):
    """A tiny seeded classifier with its tokenizer, as transformers writes it."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    torch.manual_seed(1)
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "a", "b", "c"])}
    core = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(directory)
    config = BertConfig(vocab_size=5, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=32, max_position_embeddings=16, num_labels=3)
    BertForSequenceClassification(config).save_pretrained(directory)


if __name__ == "__main__":
    {"download": download, "upload": upload, "scan": scan, "load": load,
     "make": make}[sys.argv[1]](*sys.argv[2:])
