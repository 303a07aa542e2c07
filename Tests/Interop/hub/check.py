# SPDX-License-Identifier: Apache-2.0
"""check.py CAIRN WORK NAME=PYTHON... [--transformers PYTHON] [--only WORD]: against a strict Hub.

Every check starts from a Hub that knows nothing. The Hub and its storage are two loopback origins;
storage refuses a request that carries a token.
"""
import filecmp
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = "hf_" + "secret0123456789"
MODES = {
    "basic": [],
    "multipart": ["--multipart-threshold", "100000", "--chunk-size", "65536", "--verify",
                  "--page", "3"],
}
SECONDS = 1200  # of life of one Hub; every call below ends much earlier


class Hub:
    """A fakehub process, and the environment by which clients find it."""

    def __init__(self, work, mode):
        self.folder = os.path.join(work, "hub-" + mode)
        os.makedirs(self.folder)
        ready = os.path.join(self.folder, "ready")
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "fakehub.py"), "--token", TOKEN, "--quiet",
             "--lfs-threshold", "50000", "--max-seconds", str(SECONDS), "--ready-file", ready,
             *MODES[mode]], stdout=subprocess.DEVNULL)
        limit = time.time() + 20
        while not os.path.exists(ready):
            if time.time() > limit or self.process.poll() is not None:
                raise SystemExit("the Hub does not start")
            time.sleep(0.05)
        with open(ready) as file:
            self.base = re.search(r"READY (\S+)", file.read())[1]

    def control(self, what, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/__fake__/{what}", data=data)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def reset(self):
        self.control("reset", {})

    def fault(self, match, **fault):
        self.control("fault", {"match": match, **fault})

    def log(self, pattern=""):
        lines = [(f"{entry['method']} {entry['path']}", entry) for entry in self.control("log")]
        return [entry for line, entry in lines if re.search(pattern, line)]

    def branch(self, repository, name="main"):
        for entry in self.control("state"):
            if entry["id"] == repository:
                return entry["branches"].get(name)
        return None

    def files(self, repository, name="main"):
        return {entry["path"]: entry for entry in self.branch(repository, name)["files"]}

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def read_tensors(path):
    """A safetensors file as {name: {dtype, shape, data}}."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    for entry in header.values():
        begin, end = entry.pop("data_offsets")
        entry["data"] = data[begin:end]
    return header


def write_tensors(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, entry in tensors.items():
        header[name] = {"dtype": entry["dtype"], "shape": entry["shape"],
                        "data_offsets": [len(data), len(data) + len(entry["data"])]}
        data += entry["data"]
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


def transposed(data, rows, columns):
    """The bytes of a matrix of fp32 numbers, turned over."""
    cells = [data[i:i + 4] for i in range(0, len(data), 4)]
    return b"".join(cells[row * columns + column]
                    for column in range(columns) for row in range(rows))


class Suite:
    def __init__(self, binary, work, clients, transformers):
        self.binary, self.work, self.clients = binary, work, clients
        self.transformers = transformers
        self.passed = self.failed = 0
        self.outputs = []
        self.count = 0
        self.hub, self.mode = None, ""

    # ---- tools

    def check(self, condition, what):
        if condition:
            self.passed += 1
            print("ok   ", f"{self.mode}: {what}")
        else:
            self.failed += 1
            print("FAIL ", f"{self.mode}: {what}")
            print("\n".join(self.outputs[-1].splitlines()[-6:]) if self.outputs else "")
        return condition

    def folder(self, name):
        self.count += 1
        path = os.path.join(self.work, f"{self.count:03d}-{name}")
        os.makedirs(path)
        return path

    def environment(self, **change):
        keep = {key: value for key, value in os.environ.items()
                if not key.startswith(("HF_", "HUGGING", "TRANSFORMERS"))
                and "proxy" not in key.lower()}
        home = os.path.join(self.work, "home")
        keep.update(HOME=home, HF_ENDPOINT=self.hub.base, HF_TOKEN=TOKEN, HF_HUB_DISABLE_XET="1",
                    HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1",
                    HF_HUB_DISABLE_UPDATE_CHECK="1", NO_PROXY="127.0.0.1")
        for key, value in change.items():
            if value is None:
                keep.pop(key, None)
            else:
                keep[key] = value
        return keep

    def cairn(self, *arguments, code=0, seconds=90, **environment):
        """Standard output of a call, which must end with `code`; both streams are kept."""
        done = subprocess.run(
            [self.binary, *arguments], env=self.environment(**environment), timeout=seconds,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        self.outputs.append(done.stdout + done.stderr)
        if done.returncode != code:
            self.check(False, f"cairn {' '.join(arguments)}: exit code {done.returncode}")
        return done.stdout if code == 0 else done.stderr

    def start(self, *arguments, **environment):
        return subprocess.Popen(
            [self.binary, *arguments], env=self.environment(**environment),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")

    def client(self, python, *arguments, **environment):
        done = subprocess.run(
            [python, os.path.join(HERE, "client.py"), *arguments], timeout=120,
            env=self.environment(**environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8")
        if done.returncode:
            self.outputs.append(done.stdout + done.stderr)
            self.check(False, f"client.py {' '.join(arguments)}: exit code {done.returncode}")
        return done.stdout

    def source(self):
        """A checkpoint with everything that may go wrong: sizes, names, paths, state."""
        path = self.folder("source")
        seed = str(self.count).encode()

        def noise(count):
            blocks = (hashlib.sha256(seed + b"%d" % i).digest() for i in range(count // 32 + 1))
            return b"".join(blocks)[:count]

        header = b'{"__metadata__":{"format":"pt"}}'
        files = {
            "README.md": b"---\nlibrary_name: peft\n---\n# A card\n",
            "adapter_config.json": json.dumps(
                {"base_model_name_or_path": path + "/base", "r": 8, "revision": None}).encode(),
            "adapter_model.safetensors":
                len(header).to_bytes(8, "little") + header + noise(300_000),
            "model.safetensors": len(header).to_bytes(8, "little") + header + noise(150_001),
            "config.json": b'{"a": 1}\n',
            "metadata.json": json.dumps({"base_model": path + "/base", "seed": 1}).encode(),
            "tokenizer.json": b'{"x": "' + b"y" * 60_000 + b'"}',
            "training/optimizer.safetensors": noise(1000),
            "training/state.json": b"{}",
            "extra/empty.txt": b"",
            "extra/sub/dir/notes \u00e9\u4f60.txt".encode().decode(): "h\u00e9llo\n".encode(),
            "extra/data.bin": noise(200_000),
            ".secret": b"x",
        }
        for name, data in files.items():
            target = os.path.join(path, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(data)
        listed = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                  for name, data in files.items() if not name.startswith(("extra", "."))}
        manifest = {"schema_version": 1, "run_id": "r", "name": "best", "parent": None,
                    "files": listed}
        with open(os.path.join(path, "manifest.json"), "w") as file:
            json.dump({**manifest, "sha256": self.digest(manifest)}, file)
        return path

    @staticmethod
    def digest(manifest):
        """What a manifest says of itself: of its other members, without white space."""
        rest = {key: value for key, value in manifest.items() if key != "sha256"}
        text = json.dumps(rest, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    FLAGS = ["--base-model", "tester/base", "--include", "extra/*", "--json", "--no-gate"]

    def publish(self, source, repository, *flags, **environment):
        return json.loads(self.cairn("publish", source, repository, *self.FLAGS, *flags,
                                     **environment))

    def same(self, document, directory):
        """Whether a directory holds the bytes that a publication listed."""
        for file in document["files"]:
            with open(os.path.join(directory, file["path"]), "rb") as content:
                if hashlib.sha256(content.read()).hexdigest() != file["sha256"]:
                    return False
        return len(document["files"]) == 11

    def trees_equal(self, a, b):
        names = sorted(os.path.relpath(os.path.join(folder, name), a)
                       for folder, _, list in os.walk(a) for name in list)
        return names and all(
            os.path.exists(os.path.join(b, name))
            and filecmp.cmp(os.path.join(a, name), os.path.join(b, name), shallow=False)
            for name in names)

    # ---- publishing

    def check_publish(self):
        source = self.source()
        dry = json.loads(self.cairn("publish", source, "tester/x", *self.FLAGS, "--dry-run"))
        self.check(self.hub.log() == [], "a dry run sends nothing")
        document = self.publish(source, "tester/x", "--private")
        sent = [f"{entry['method']} {entry['path']}" for entry in self.hub.log()]
        told = [line.split("\n")[0].replace(self.hub.base, "") for line in dry["requests"]]
        self.check(sorted(set(line for line in told if line.startswith(("GET", "POST"))))
                   == sorted(set(line for line in sent if not re.search(r"__lfs__|PUT", line))),
                   "a dry run names the requests that are then sent")
        self.check(document["created"] and len(document["published"]) == 11, "it publishes")
        self.check(self.hub.branch("tester/x")["oid"] == document["commit"], "in one commit")
        self.check(len(self.hub.log("POST .*/commit/")) == 1, "of one request")
        for name, python in self.clients.items():
            got = self.client(python, "download", "tester/x", self.folder("cache")).strip()
            self.check(self.same(document, got), f"huggingface_hub {name} gets the same bytes")
        files = self.hub.files("tester/x")
        self.check(not any("training" in path or path == ".secret" for path in files),
                   "training state and hidden files stay")
        text = b"".join(open(os.path.join(got, path), "rb").read() for path in files)
        self.check(self.work.encode() not in text, "no path of this machine is in any file")
        listing = json.load(open(os.path.join(got, "manifest.json")))
        manifest = listing["files"]
        self.check(
            listing["sha256"] == self.digest(listing) and len(manifest) == 7 and all(
                hashlib.sha256(open(os.path.join(got, path), "rb").read()).hexdigest()
                == entry["sha256"] for path, entry in manifest.items()),
            "the manifest agrees with what was published")
        config = json.load(open(os.path.join(got, "adapter_config.json")))
        self.check(config["base_model_name_or_path"] == "tester/base", "the base has its name")
        before = len(self.hub.log())
        again = self.publish(source, "tester/x")
        later = self.hub.log()[before:]
        self.check(again["published"] == [] and again["commit"] == document["commit"]
                   and not any("/commit/" in entry["path"] or entry["method"] == "PUT"
                               for entry in later), "again, there is no commit and no upload")
        state = self.hub.control("state")[0]
        self.check(state["private"], "--private makes it private")
        stranger = self.cairn("pull", "tester/x", code=1, HF_TOKEN=None,
                              HF_HOME=self.folder("home"))
        self.check("has no repository tester/x that can be seen without a token" in stranger,
                   "a stranger does not see it")

    def check_refusals(self):
        source = self.source()
        text = self.cairn("publish", source, "tester/x", code=1)
        self.check("adapter_config.json, base_model_name_or_path" in text
                   and "--base-model" in text, "a base that is a path is refused with the way out")
        text = self.cairn("publish", source, "tester/x", *self.FLAGS, code=1, HF_TOKEN=None,
                          HF_HOME=self.folder("home"))
        self.check("no token for the Hub: none in HF_TOKEN" in text, "no token is an error")
        self.check(self.hub.log() == [], "nothing was sent so far")
        text = self.cairn("publish", source, "tester/x", *self.FLAGS, code=1, HF_TOKEN="hf_wrong")
        self.check("does not know the token from HF_TOKEN" in text and "hf_wrong" not in text,
                   "a wrong token is named by its place")
        text = self.cairn("publish", source, "stranger/x", *self.FLAGS, code=1)
        self.check("403" in text, "another's namespace is refused")
        home = self.folder("home")
        with open(os.path.join(home, "token"), "w") as file:
            file.write(TOKEN + "\n")
        self.publish(source, "testorg/y", HF_TOKEN=None, HF_HOME=home)
        self.check(self.hub.branch("testorg/y") is not None, "the token file is read")
        os.remove(os.path.join(home, "token"))

    def check_branches(self):
        source = self.source()
        self.publish(source, "tester/x", "--message", "First\n\nBody")
        main = self.hub.branch("tester/x")
        self.check((main["title"], main["message"]) == ("First", "Body"), "--message is kept")
        with open(os.path.join(source, "extra/empty.txt"), "w") as file:
            file.write("no longer\n")
        document = self.publish(source, "tester/x", "--create-pr")
        pull = self.hub.files("tester/x", "refs/pr/1")
        self.check(document["published"] == ["extra/empty.txt"]
                   and document["pull_request"].endswith("/discussions/1"), "--create-pr")
        self.check(pull["extra/empty.txt"]["size"] == 10
                   and self.hub.files("tester/x")["extra/empty.txt"]["size"] == 0,
                   "a pull request leaves main as it was")
        self.publish(source, "tester/x", "--revision", "dev")
        self.check(self.hub.files("tester/x", "dev")["extra/empty.txt"]["size"] == 10
                   and self.hub.branch("tester/x") == main, "--revision makes its branch")
        home = self.folder("home")
        for revision in ["refs/pr/1", "dev"]:
            where = self.cairn("pull", f"tester/x@{revision}", HF_HOME=home).strip()
            with open(os.path.join(where, "extra/empty.txt")) as file:
                self.check(file.read() == "no longer\n", f"pull @{revision}")
        python = next(iter(self.clients.values()))
        seen = self.client(python, "scan", os.path.join(home, "hub"))
        self.check("refs/pr/1" in seen and "dev" in seen and "warning" not in seen,
                   "the client finds both references in the cache")

    # ---- faults

    def check_upload_faults(self):
        faults = {
            "503 on the question": dict(match="POST .*/preupload/", status=503, times=2,
                                        headers={"Retry-After": "0"}),
            "429 with Retry-After": dict(match="POST .*/batch", status=429,
                                         headers={"Retry-After": "1"}),
            "500 from storage": dict(match="PUT /put/", status=500),
            "a dropped connection to storage": dict(match="PUT /put/", drop=True),
            "a dropped connection to the Hub": dict(match="POST .*/batch", drop=True),
            "an answer cut short": dict(match="POST .*/preupload/", truncate=40),
            "a commit that never arrived": dict(match="POST .*/commit/", drop=True),
            "503 on the commit": dict(match="POST .*/commit/", status=503),
            "a commit whose answer was lost": dict(match="POST .*/commit/", truncate=0),
        }
        for number, (what, fault) in enumerate(faults.items()):
            self.hub.reset()
            self.hub.fault(**fault)
            document = self.publish(self.source(), f"tester/x{number}")
            files = self.hub.files(f"tester/x{number}")
            good = all(files[file["path"]]["size"] == file["bytes"] for file in document["files"])
            head = self.hub.branch(f"tester/x{number}")["oid"]
            self.check(good and document["commit"] == head, f"{what} is survived")
        self.check(len(self.hub.log("POST .*/commit/")) == 1, "a lost answer doubles no commit")

    def check_fatal_faults(self):
        fatal = {
            "a stale parent": (dict(match="POST .*/commit/", status=412,
                                    body={"error": "A commit has happened since."}),
                               "got another commit on 'main' meanwhile"),
            "a card that is refused": (dict(match="POST .*/validate-yaml", status=400,
                                            body={"errors": [{"message": "bad mapping"}]}),
                                       "README.md: the Hub refuses its front matter: bad mapping"),
            "a wait without end": (dict(match="POST .*/preupload", status=429,
                                        headers={"Retry-After": "4000"}), "wait 4000 s"),
            "a lost pull request": (dict(match="POST .*/commit/", drop=True), "its answer was lost"),
        }
        if self.mode == "multipart":
            fatal["a part without a tag"] = (dict(match="PUT /put/", etag=""), "ETag of part")
        for what, (fault, sentence) in fatal.items():
            self.hub.reset()
            self.hub.fault(**fault)
            flags = ["--create-pr"] if "pull request" in what else []
            text = self.cairn("publish", self.source(), "tester/x", *self.FLAGS, *flags, code=1)
            self.check(sentence in text and list(self.hub.files("tester/x")) == [".gitattributes"],
                       f"{what} ends it in a sentence, and nothing is committed")
        # A parent that is stale in earnest: another client commits while ours waits.
        self.hub.reset()
        source = self.source()
        self.publish(source, "tester/x")
        with open(os.path.join(source, "extra/data.bin"), "ab") as file:
            file.write(b"more")
        self.hub.fault("POST .*/batch", status=503, headers={"Retry-After": "20"})
        process = self.start("publish", source, "tester/x", *self.FLAGS)
        self.wait_for("POST .*/batch", 2)
        other = self.folder("other")
        with open(os.path.join(other, "other.txt"), "w") as file:
            file.write("other\n")
        self.client(next(iter(self.clients.values())), "upload", other, "tester/x")
        _, text = process.communicate(timeout=90)
        self.outputs.append(text)
        self.check("got another commit on 'main' meanwhile" in text and process.returncode == 1
                   and "other.txt" in self.hub.files("tester/x"),
                   "a commit between ours and its parent is not overwritten")

    def wait_for(self, pattern, count):
        limit = time.time() + 30
        while len(self.hub.log(pattern)) < count and time.time() < limit:
            time.sleep(0.05)

    def check_kill(self):
        source = self.source()
        # The second file waits for half a minute; long before that the process is gone.
        first = os.path.join(source, "adapter_model.safetensors")
        digest = hashlib.sha256(open(first, "rb").read()).hexdigest()
        self.hub.fault(rf"PUT /put/(?!{digest})", status=503, times=9,
                       headers={"Retry-After": "30"})
        process = self.start("publish", source, "tester/x", *self.FLAGS)
        self.wait_for(rf"PUT /put/(?!{digest})", 1)
        listed = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(process.pid)],
                                stdout=subprocess.PIPE, encoding="utf-8").stdout
        self.check("publish" in listed and TOKEN not in listed, "ps does not show the token")
        process.send_signal(signal.SIGKILL)
        self.outputs.append(process.communicate(timeout=10)[1])
        stored = len(self.hub.log(rf"PUT /put/{digest}"))
        self.check(stored > 0 and list(self.hub.files("tester/x")) == [".gitattributes"],
                   "killed half-way, nothing is visible")
        self.hub.control("calm", {})
        self.publish(source, "tester/x")
        self.check(len(self.hub.log(rf"PUT /put/{digest}")) == stored,
                   "the second run does not store again what the first one had stored")
        self.check(len(self.hub.files("tester/x")) == 12, "and publishes all of it")

    # ---- pulling

    def check_pull(self):
        source = self.source()
        for number, (name, python) in enumerate(self.clients.items()):
            repository = f"tester/from{number}"
            commit = self.client(python, "upload", source, repository).strip()
            home = self.folder("home")
            document = json.loads(self.cairn("pull", repository, "--json", HF_HOME=home))
            self.check(document["commit"] == commit
                       and self.trees_equal(source, document["directory"]),
                       f"what huggingface_hub {name} published is pulled, byte for byte")
            before = len(self.hub.log())
            again = json.loads(self.cairn("pull", repository, "--json", HF_HOME=home))
            asked = [entry["path"] for entry in self.hub.log()[before:]]
            self.check(again["downloaded_bytes"] == 0 and len(asked) == 1, "once is enough")
            before = len(self.hub.log())
            offline = self.cairn("pull", repository, HF_HOME=home, HF_HUB_OFFLINE="1").strip()
            self.check(offline == document["directory"] and len(self.hub.log()) == before,
                       "offline the cache answers")
            some = json.loads(self.cairn("pull", repository, "--include", "*.json", "--json",
                                         HF_HOME=self.folder("home")))
            self.check(all(path.endswith(".json") for path in some["files"]) and some["files"],
                       "--include chooses")
        text = self.cairn("pull", "tester/none", code=1)
        self.check("the Hub has no repository tester/none" in text, "an unknown repository")
        text = self.cairn("pull", "tester/from0@none", code=1)
        self.check("tester/from0 has no revision 'none'" in text, "an unknown revision")
        text = self.cairn("pull", "tester/from0", code=1, HF_HUB_OFFLINE="1",
                          HF_HOME=self.folder("home"))
        self.check("HF_HUB_OFFLINE switches the network off" in text, "offline without a cache")

    def check_caches(self):
        source = self.source()
        document = self.publish(source, "tester/x")
        for name, python in self.clients.items():
            home = self.folder("home")
            cache = os.path.join(home, "hub")
            ours = self.cairn("pull", "tester/x", HF_HOME=home).strip()
            before = len(self.hub.log())
            theirs = self.client(python, "download", "tester/x", cache, HF_HUB_OFFLINE="1").strip()
            self.check(theirs == ours and len(self.hub.log()) == before
                       and self.same(document, theirs), f"{name} reads our cache offline")
            before = len(self.hub.log())
            self.client(python, "download", "tester/x", cache)
            fetched = [entry for entry in self.hub.log()[before:]
                       if entry["method"] == "GET" and re.search("/resolve/|/get/", entry["path"])]
            self.check(fetched == [], f"{name} fetches nothing that we had pulled")
            seen = self.client(python, "scan", cache)
            # The older client takes the tag that the newer one writes for a broken repository.
            warnings = [line for line in seen.splitlines()
                        if line.startswith("warning") and "CACHEDIR.TAG" not in line]
            self.check(warnings == [] and f"{document['commit']} main 12" in seen,
                       f"{name} finds our cache in order")

            home = self.folder("home")
            theirs = self.client(python, "download", "tester/x", os.path.join(home, "hub")).strip()
            before = len(self.hub.log())
            ours = json.loads(self.cairn("pull", "tester/x", "--json", HF_HOME=home))
            fetched = [entry for entry in self.hub.log()[before:]
                       if re.search("/resolve/|/get/", entry["path"])]
            self.check(ours["directory"] == theirs and ours["downloaded_bytes"] == 0
                       and fetched == [], f"we fetch nothing that {name} had pulled")
            offline = self.cairn("pull", "tester/x", HF_HOME=home, HF_HUB_OFFLINE="1").strip()
            self.check(offline == theirs, f"we read the cache of {name} offline")

            home = self.folder("home")
            where = self.cairn("pull", "tester/x", HF_HOME=home, HF_HUB_DISABLE_SYMLINKS="1").strip()
            linked = any(os.path.islink(os.path.join(folder, file))
                         for folder, _, files in os.walk(where) for file in files)
            theirs = self.client(python, "download", "tester/x", os.path.join(home, "hub"),
                                 HF_HUB_OFFLINE="1").strip()
            self.check(not linked and self.same(document, theirs), f"{name} reads our copies")

    def check_download_faults(self):
        source = self.source()
        document = self.publish(source, "tester/x")
        faults = {
            "503 on the listing": dict(match="GET .*/tree/", status=503,
                                       headers={"Retry-After": "0"}),
            "503 from storage": dict(match="GET /get/", status=503),
            "a dropped connection": dict(match="GET /get/", drop=True),
            "a body cut short": dict(match="GET /get/", truncate=70_000, times=2),
            "a small body cut short": dict(match="GET .*/resolve/.*/config.json", truncate=3),
        }
        for what, fault in faults.items():
            self.hub.fault(**fault)
            before = len(self.hub.log())
            where = self.cairn("pull", "tester/x", HF_HOME=self.folder("home")).strip()
            self.check(self.same(document, where), f"{what} is survived")
            if "cut short" in what:
                ranges = [entry["headers"]["range"] for entry in self.hub.log()[before:]
                          if "range" in entry["headers"]]
                self.check("bytes=70000-" in ranges or "bytes=3-" in ranges,
                           f"{what} goes on by Range")
        lies = {"ETag": {"X-Repo-Commit": document["commit"]}, "X-Repo-Commit": {"ETag": '"x"'}}
        for header, headers in lies.items():
            self.hub.fault("GET .*/resolve/.*/config.json", status=200, headers=headers, body={})
            text = self.cairn("pull", "tester/x", code=1, HF_HOME=self.folder("home"))
            self.check(f"{header} of the answer: expected" in text, f"a missing {header} is refused")

    def check_partial(self):
        """A download that is killed leaves what the next one goes on from, ours or theirs."""
        source = self.source()
        document = self.publish(source, "tester/x")
        size = os.path.getsize(os.path.join(source, "adapter_model.safetensors"))
        for who in ["cairn", *[name for name in self.clients if name.startswith("0.")]]:
            home = self.folder("home")
            self.hub.fault("GET /get/", truncate=100_000)
            self.hub.fault("GET /get/", status=503, headers={"Retry-After": "30"})
            before = len(self.hub.log("GET /get/"))
            process = self.start("pull", "tester/x", HF_HOME=home)
            self.wait_for("GET /get/", before + 2)
            process.send_signal(signal.SIGKILL)
            self.outputs.append(process.communicate(timeout=10)[1])
            blobs = os.path.join(home, "hub", "models--tester--x", "blobs")
            partial = [name for name in os.listdir(blobs) if name.endswith(".incomplete")]
            self.check(len(partial) == 1
                       and os.path.getsize(os.path.join(blobs, partial[0])) == 100_000,
                       "a killed pull leaves its part")
            before = len(self.hub.log())
            if who == "cairn":
                where = self.cairn("pull", "tester/x", HF_HOME=home).strip()
            else:
                where = self.client(self.clients[who], "download", "tester/x",
                                    os.path.join(home, "hub")).strip()
            ranges = [entry["headers"].get("range") for entry in self.hub.log()[before:]
                      if entry["on"] == "cdn"]
            self.check("bytes=100000-" in ranges and self.same(document, where)
                       and not any(name.endswith(".incomplete") for name in os.listdir(blobs)),
                       f"{who} goes on from the part of {size} bytes")

    def check_streaming(self):
        """A file of 128 MB passes through a process that holds a small part of it at a time."""
        if self.mode != "basic" or sys.platform != "linux":
            return
        source, home = self.folder("large"), self.folder("home")
        with open(os.path.join(source, "model.safetensors"), "wb") as file:
            file.write((8).to_bytes(8, "little") + b"{}      ")
            for _ in range(128):
                file.write(os.urandom(1 << 20))
        for arguments in [["publish", source, "tester/x", "--no-gate"], ["pull", "tester/x"]]:
            process, most, looks = self.start(*arguments, HF_HOME=home), 0, 0
            while process.poll() is None:
                with open(f"/proc/{process.pid}/status") as file:
                    held = re.search(r"RssAnon:\s+(\d+) kB", file.read())
                if held:
                    most, looks = max(most, int(held[1])), looks + 1
                time.sleep(0.02)
            self.outputs.append(process.communicate(timeout=10)[1])
            self.check(process.returncode == 0 and looks > 5 and most < 64 << 10,
                       f"{arguments[0]} of 128 MB in {most >> 10} MB of memory")

    def check_transformers(self):
        made = self.folder("made")
        self.client(self.transformers, "make", made)
        self.cairn("publish", made, "tester/tiny", "--no-gate", "--json")
        here = json.loads(self.client(self.transformers, "load", made))
        home = self.folder("home")
        there = json.loads(self.client(self.transformers, "load", "tester/tiny", HF_HOME=home))
        self.check(len(here) == 3 and here == there, "transformers loads it by id, equal logits")
        home = self.folder("home")
        self.cairn("pull", "tester/tiny", HF_HOME=home)
        cached = json.loads(self.client(self.transformers, "load", "tester/tiny", HF_HOME=home,
                                        HF_HUB_OFFLINE="1"))
        self.check(cached == here, "transformers loads it offline from our cache")

    def train(self, home, *flags):
        """A run on `tester/base`, and its directory."""
        work = self.folder("train")
        rows, out = os.path.join(work, "rows.tsv"), os.path.join(work, "out")
        with open(rows, "w") as file:
            file.write("label\ttext\n" + "".join(
                f"{'person' if i % 2 else 'plant'}\tgloss number {i} of a {i % 5} kind\n"
                for i in range(20)))
        self.cairn("finetune", "tester/base", "--task", "classify", "--data", rows, "-o", out,
                   "--max-length", "16", "--rank", "4", "--threads", "1", *flags,
                   HF_HOME=home, seconds=300)
        return out

    def check_lifecycle(self):
        """A base by its id, an adapter trained on it, published, and used elsewhere by its id."""
        base = os.path.join(HERE, "../../../Sources/CairnCLI/Quickstart/base")
        published = json.loads(self.cairn("publish", base, "tester/base", "--no-gate", "--json"))
        home = self.folder("home")
        best = os.path.join(self.train(home, "--epochs", "1"), "best")
        with open(os.path.join(best, "adapter_config.json")) as file:
            name = json.load(file)["base_model_name_or_path"]
        self.check(published["commit"] in name, "the run records the exact commit of its base")
        told = json.loads(self.cairn("publish", best, "tester/topics", "--json"))
        elsewhere = self.folder("home")
        where = self.cairn("pull", "tester/topics", HF_HOME=elsewhere).strip()
        with open(os.path.join(where, "adapter_config.json")) as file:
            config = json.load(file)
        with open(os.path.join(where, "README.md")) as file:
            card = file.read()
        self.check((config["base_model_name_or_path"], config["revision"])
                   == ("tester/base", published["commit"]) and "base_model: tester/base" in card
                   and '"tester/base"' in card and "PATH/TO" not in card,
                   "a base from the cache is published by its id and commit")
        self.check(not any(path.startswith("training/") for path in told["published"]),
                   "the optimizer stays")
        self.check(told["gate"] == {"passed": True, "rows": 4, "largest_difference": 0}
                   and "receipt.json" in told["published"] and "separate process" in card,
                   "the gate passes it to the bit, and the card says so")
        text = "".join(open(os.path.join(where, path)).read() for path in
                       ("receipt.json", "README.md", "metadata.json", "manifest.json"))
        self.check("gloss number" not in text and "ids" not in json.dumps(
            json.load(open(os.path.join(where, "receipt.json")))), "no row's text leaves")
        flags = ["--text", "a kind of person", "--threads", "1", "--json"]
        here = json.loads(self.cairn("predict", best, *flags, HF_HOME=home))
        there = json.loads(self.cairn("predict", "tester/topics", *flags, HF_HOME=elsewhere))
        offline = json.loads(self.cairn("predict", "tester/topics", *flags, HF_HOME=elsewhere,
                                        HF_HUB_OFFLINE="1"))
        self.check(here["rows"] == there["rows"] == offline["rows"],
                   "elsewhere it predicts the same, by its id, online and offline")
        self.cairn("verify", where, HF_HOME=elsewhere)
        slip = self.cairn("predict", "checkpoints/bset", *flags, code=1, HF_HOME=elsewhere)
        self.check("'checkpoints/bset' is no directory, and the Hub has no repository" in slip,
                   "a slip in a path is told from a missing repository")

    def check_lifecycle_gate(self):
        """What is not the model that was saved never reaches the Hub."""
        base = os.path.join(HERE, "../../../Sources/CairnCLI/Quickstart/base")
        self.cairn("publish", base, "tester/base", "--no-gate", "--json")
        home = self.folder("home")
        out = self.train(home, "--epochs", "2", "--save-every", "1", "--learning-rate", "5e-3")
        good = os.path.join(out, "epoch-2")

        def adapter(change):
            def spoil(folder):
                path = os.path.join(folder, "adapter_model.safetensors")
                tensors = read_tensors(path)
                change(tensors)
                write_tensors(path, tensors)
            return spoil

        def swap(tensors):
            for name in [name for name in tensors if "o_proj.lora_A" in name]:
                other = name.replace("lora_A", "lora_B")
                (rows, columns), a = tensors[name]["shape"], tensors[name]["data"]
                b, tensors[other]["data"] = tensors[other]["data"], transposed(a, rows, columns)
                tensors[name]["data"] = transposed(b, columns, rows)

        def alpha(folder):
            path = os.path.join(folder, "adapter_config.json")
            with open(path) as file:
                config = json.load(file)
            config["lora_alpha"] += 1
            with open(path, "w") as file:
                json.dump(config, file)

        def tokenizer(folder):
            path = os.path.join(folder, "tokenizer.json")
            with open(path) as file:
                document = json.load(file)
            document["model"]["merges"] = document["model"]["merges"][:5]
            with open(path, "w") as file:
                json.dump(document, file)

        def stale(folder):
            shutil.copy(os.path.join(out, "epoch-1", "adapter_model.safetensors"), folder)

        faults = {
            "a head left out": (adapter(lambda t: t.pop("base_model.model.score.weight")),
                                "score.weight"),
            "A and B swapped": (adapter(swap), "row 1 of the receipt ("),
            "alpha wrong": (alpha, "row 1 of the receipt ("),
            "tokenizer of another model": (tokenizer, "is tokenizer.json of another model?"),
            "a stale adapter": (stale, "are not the model that was saved"),
        }
        before = len(self.hub.log("^(POST|PUT) "))
        for what, (spoil, words) in faults.items():
            folder = os.path.join(self.folder("spoilt"), "checkpoint")
            shutil.copytree(good, folder)
            spoil(folder)
            os.remove(os.path.join(folder, "manifest.json"))
            said = self.cairn("publish", folder, "tester/topics", code=1, HF_HOME=home)
            self.check("the gate is closed, nothing was sent: " in said and words in said,
                       f"the gate stops {what}")
        self.check(len(self.hub.log("^(POST|PUT) ")) == before
                   and self.hub.branch("tester/topics") is None, "nothing of these was sent")
        self.cairn("publish", good, "tester/topics", HF_HOME=home)
        self.check("gate: passed, 4 rows" in self.outputs[-1], "what was saved passes")

        elsewhere = self.folder("home")
        pulled = self.cairn("pull", "tester/topics", HF_HOME=elsewhere).strip()
        said = self.cairn("publish", pulled, "tester/copy", code=1, HF_HOME=elsewhere)
        self.check("--checkpoint DIR" in said, "a copy without the rows is told where they are")
        self.cairn("publish", pulled, "tester/copy", "--checkpoint", good, HF_HOME=elsewhere)
        self.check(len(self.hub.files("tester/copy")) == len(self.hub.files("tester/topics")),
                   "with the rows it passes")
        merged = os.path.join(self.folder("merged"), "model")
        self.cairn("merge", good, "-o", merged, "--dtype", "fp32", HF_HOME=home)
        self.cairn("publish", merged, "tester/merged", "--checkpoint", good, HF_HOME=home)
        self.check("gate: passed, 4 rows" in self.outputs[-1], "a merged model passes")
        if self.transformers:
            there = json.loads(self.client(self.transformers, "load", "tester/merged",
                                           HF_HOME=self.folder("home")))
            here = json.loads(self.cairn("predict", good, "--text", "a b c", "--precision", "fp32",
                                         "--json", HF_HOME=home))["rows"][0]["logits"]
            self.check(len(here) == 2 and all(abs(a - b) <= 1e-4 for a, b in zip(here, there)),
                       "transformers loads the merged model by id, with the adapter's logits")

    # ---- all of it

    def check_secrets(self):
        leaks = [entry for entry in self.seen if entry["on"] == "cdn"
                 and "authorization" in entry["headers"]]
        used = [entry for entry in self.seen if entry["on"] == "cdn"]
        self.check(len(used) > 20 and leaks == [], "storage never saw a token")
        self.check(not any(TOKEN in output for output in self.outputs) and len(self.outputs) > 20,
                   "no output holds the token")
        holders = []
        for folder, _, names in os.walk(self.work):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and TOKEN.encode() in open(path, "rb").read():
                    holders.append(path)
        self.check(holders == [], "no file holds the token")

    def run(self, only):
        steps = [self.check_publish, self.check_refusals, self.check_branches,
                 self.check_upload_faults, self.check_fatal_faults, self.check_kill,
                 self.check_pull, self.check_caches, self.check_download_faults,
                 self.check_partial, self.check_streaming]
        if "finetune" in subprocess.run([self.binary, "--help"], stdout=subprocess.PIPE,
                                        encoding="utf-8").stdout:
            steps += [self.check_lifecycle, self.check_lifecycle_gate]
        if self.transformers:
            steps.append(self.check_transformers)
        steps = [step for step in steps if only in step.__name__]
        for self.mode in MODES:
            self.hub = Hub(self.work, self.mode)
            self.seen = []
            try:
                for step in steps:
                    self.hub.reset()
                    try:
                        step()
                    except Exception as error:  # one broken step must not hide the others
                        self.check(False, f"{step.__name__}: {error!r}")
                    self.seen += self.hub.log()
                if not only:
                    self.check_secrets()
            finally:
                self.hub.stop()
            for name in os.listdir(self.work):
                shutil.rmtree(os.path.join(self.work, name))
        print(f"{self.passed} passed, {self.failed} failed")
        return self.failed == 0


def main(arguments):
    options = {"--transformers": "", "--only": ""}
    for name in options:
        if name in arguments:
            place = arguments.index(name)
            options[name] = arguments[place + 1]
            del arguments[place:place + 2]
    binary, work, *clients = arguments
    clients = dict(client.split("=", 1) for client in clients)
    return Suite(os.path.abspath(binary), os.path.abspath(work), clients,
                 options["--transformers"]).run(options["--only"])


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
