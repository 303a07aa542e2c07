# SPDX-License-Identifier: Apache-2.0
"""Examples of --help, completion scripts and manual pages of a `cairn` executable."""
import json
import os
import shutil
import subprocess
import sys

CAIRN, ROOT, WORK = sys.argv[1:4]
# What talks to the Hub runs against a loopback one, in the suite `hub`.
NETWORK = {"pull": "needs the Hub; Tests/Interop/hub pulls from a loopback one"}
passed, failed, skipped = 0, 0, []


def check(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(f"FAILED {name}: {detail}")


def call(words, folder=WORK, shell=False, **more):
    return subprocess.run(words, cwd=folder, shell=shell, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=900, **more)


def cairn(*words, folder=WORK):
    return call([CAIRN, *words], folder)


def fixtures(folder):
    """The names that examples use: a base, rows, a run of three epochs with every one saved."""
    golden = os.path.join(ROOT, "Tests/Fixtures/golden")
    for name in "Qwen2.5-0.5B", "model":
        shutil.copytree(f"{golden}/models/qwen2", f"{folder}/{name}")
    for name, source in ("corpus", "train"), ("new", "train"), ("test", "test"), ("texts", "test"):
        shutil.copy(f"{golden}/dataset/{source}.jsonl", f"{folder}/{name}.jsonl")
    # An example's output is an earlier one's input: this run stands where finetune's would.
    made = cairn("finetune", "Qwen2.5-0.5B", "--task", "classify", "--data", "corpus.jsonl", "-o",
                 "checkpoints", "--epochs", "3", "--save-every", "1", "--base-model",
                 "Qwen/Qwen2.5-0.5B", folder=folder)
    check("the fixtures' run", made.returncode == 0, made.stderr)
    # A base named as on the Hub is found in the cache of the Python client.
    snapshot = f"{folder}/hub/hub/models--Qwen--Qwen2.5-0.5B"
    os.makedirs(f"{snapshot}/refs")
    with open(f"{snapshot}/refs/main", "w") as file:
        file.write("0" * 40)
    shutil.copytree(f"{folder}/model", f"{snapshot}/snapshots/{'0' * 40}")
    shutil.copy(f"{folder}/checkpoints/best/model.apr", f"{folder}/model.apr")


def examples(commands):
    base = f"{WORK}/fixtures"
    os.makedirs(base)
    fixtures(base)
    for command in commands:
        name = command["name"]
        text = cairn(name, "--help").stdout
        example = text.split("\nexample:\n  ")[1].strip()
        check(f"{name}: one example", example == command["example"], example)
        if name in NETWORK:
            skipped.append(f"SKIPPED '{example}': {NETWORK[name]}")
            continue
        folder = f"{WORK}/{name}"
        shutil.copytree(base, folder, symlinks=True)
        if name in ("finetune", "quickstart"):
            shutil.rmtree(f"{folder}/checkpoints")
        path = f"{WORK}/bin"
        os.makedirs(path, exist_ok=True)
        if not os.path.exists(f"{path}/cairn"):
            os.symlink(CAIRN, f"{path}/cairn")
        ran = call(example, folder, shell=True, env={
            **os.environ, "PATH": path + ":" + os.environ["PATH"], "HF_HOME": f"{folder}/hub",
            "HF_HUB_OFFLINE": "1", "HF_TOKEN": ""})
        print(f"{'ran' if ran.returncode == 0 else 'failed'}: {example}")
        check(example, ran.returncode == 0, f"exit {ran.returncode}: {ran.stderr[-600:]}")


def bash_replies(script, *words):
    line = " ".join(f"'{word}'" for word in words)
    ran = call(["bash", "-c", f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
                "_cairn; printf '%s\\n' \"${COMPREPLY[@]}\""])
    check(f"bash completes {words}", ran.returncode == 0 and not ran.stderr, ran.stderr)
    return set(ran.stdout.split("\n")) - {""}


def completions(commands):
    scripts = {}
    for shell in "bash", "zsh", "fish":
        made = cairn("completions", shell)
        check(f"completions {shell}", made.returncode == 0, made.stderr)
        scripts[shell] = f"{WORK}/cairn.{shell}"
        with open(scripts[shell], "w") as file:
            file.write(made.stdout)
        if shutil.which(shell):
            read = call([shell, "-n", scripts[shell]])
            check(f"{shell} reads it", read.returncode == 0, read.stderr)
        else:
            skipped.append(f"SKIPPED {shell}: not installed")
    names = {command["name"] for command in commands}
    replies = bash_replies(scripts["bash"], "cairn", "")
    check("bash completes commands", replies == names | {"--help", "--version"}, replies)
    for command in commands:
        flags = {flag["name"] for flag in command["flags"]} | {"--help"}
        replies = bash_replies(scripts["bash"], "cairn", command["name"], "--")
        check(f"bash completes the flags of {command['name']}", replies == flags, replies ^ flags)
        for flag in command["flags"]:
            if flag["words"]:
                replies = bash_replies(scripts["bash"], "cairn", command["name"], flag["name"], "")
                check(f"bash completes {command['name']} {flag['name']}",
                      replies == set(flag["words"]), replies)
    open(f"{WORK}/some rows.jsonl", "w").close()
    replies = bash_replies(scripts["bash"], "cairn", "finetune", "--data", "some")
    check("bash completes a file with a space", replies == {"some rows.jsonl"}, replies)
    if shutil.which("fish"):
        for command in commands:
            ran = call(["fish", "-c", f"source {scripts['fish']}; "
                        f"complete -C 'cairn {command['name']} --'"])
            found = {line.split("\t")[0] for line in ran.stdout.splitlines()}
            missing = {flag["name"] for flag in command["flags"]} - found
            check(f"fish completes the flags of {command['name']}", not missing, missing)


def manual(commands):
    pages = f"{WORK}/pages"
    made = cairn("man", "-o", pages)
    check("man -o", made.returncode == 0, made.stderr)
    wanted = {"cairn.1"} | {f"cairn-{command['name']}.1" for command in commands}
    check("a page for every command", set(os.listdir(pages)) == wanted, os.listdir(pages))
    for command in commands:
        text = cairn("man", command["name"]).stdout
        with open(f"{pages}/cairn-{command['name']}.1") as file:
            check(f"man {command['name']} prints the page", file.read() == text)
        plain = text.replace("\\-", "-")
        for flag in command["flags"]:
            check(f"the page of {command['name']} has {flag['name']}", flag["name"] in plain)
    if shutil.which("mandoc"):
        # No date: the same version gives the same page.
        lint = call(f"mandoc -T lint -W warning {pages}/*.1 | grep -v 'missing date'", shell=True)
        check("mandoc finds nothing", not lint.stdout, lint.stdout)
    else:
        skipped.append("SKIPPED mandoc: not installed")


table = json.loads(cairn("man", "--json").stdout)["commands"]
completions(table)
manual(table)
examples(table)
for line in skipped:
    print(line)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
