# SPDX-License-Identifier: Apache-2.0
"""The peer of the tokens benchmark: the package tokenizers on the same texts, on one thread.

usage: peer_tokens.py THREADS   (started by cairn-bench tokens --peer PYTHON)

Reads a JSON object per line and answers with one: "prepare" opens the tokenizer and the texts and
tells how many tokens there are; "sample" times one pass over them.
"""
import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers  # noqa: E402 (it reads the environment when it is imported)


def main():
    print(json.dumps({"version": f"tokenizers {tokenizers.__version__}"}), flush=True)
    tokenizer, texts = None, []
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "prepare":
            tokenizer = tokenizers.Tokenizer.from_file(request["tokenizer"])
            tokenizer.no_truncation()
            tokenizer.no_padding()
            texts = request["texts"]
            count = sum(len(tokenizer.encode(text).ids) for text in texts)
            answer = {"peer": "tokenizers", "tokens": count}
        else:
            start = time.perf_counter()
            for text in texts:
                tokenizer.encode(text)
            answer = {"seconds": time.perf_counter() - start}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
