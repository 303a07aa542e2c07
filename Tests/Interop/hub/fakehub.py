# SPDX-License-Identifier: Apache-2.0
"""fakehub.py: a strict loopback double of the Hub's HTTP API, with the standard library alone.

It answers what huggingface_hub 2.4.0 and 0.36.0 ask, and refuses what would hurt on the real Hub;
client.py drives both clients against it.

    python3 fakehub.py [--port 0] [--cdn-port 0] [--token hf_faketoken] [--user tester]
                       [--lfs-threshold 10485760] [--multipart-threshold N] [--chunk-size N]
                       [--verify] [--log FILE] [--ready-file FILE] [--max-seconds 600] [--quiet]

Prints one line when ready:   FAKEHUB READY http://127.0.0.1:PORT cdn=http://127.0.0.1:PORT2
It listens on 127.0.0.1 only, keeps everything in memory, and stops by itself after
--max-seconds.  Use HF_ENDPOINT=http://127.0.0.1:PORT and HF_TOKEN=hf_faketoken with a client.
(The Python client must run with HF_HUB_DISABLE_XET=1: this double has no Xet storage, and it
answers the xet token routes with 404, exactly so that a client that tries Xet is noticed.)

Two listeners on purpose: the *hub* (API) and the *cdn* (LFS object storage).  Real LFS bytes are
served from another origin with a signed URL, so the cdn REFUSES (400) any request that carries an
Authorization header - a client that leaks its token to the storage host fails here.

Control API (no auth, for tests only):
    GET  /__fake__/log                 JSON list of every request seen so far (both listeners)
    POST /__fake__/reset               forget repos, objects, log and faults
    POST /__fake__/calm                forget faults alone
    POST /__fake__/fault               {"match": "regex on 'METHOD path'", "status": 503, "times": 2,
                                        "headers": {"Retry-After": "1"}, "body": {...}}
                                        or {"match":..., "drop": true}  (close the socket, no answer)
                                        or {"match":..., "truncate": 1000} (send only n body bytes)
                                        or {"match":..., "etag": ""} (multipart PUT answers no ETag)
    GET  /__fake__/state               repos, commits, file lists with sizes and oids
"""

import argparse, base64, hashlib, json, os, re, sys, threading, time, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

NULL_OID = "0" * 40
REPO_TYPES = {"models": "model", "datasets": "dataset", "spaces": "space"}
NAME_RE = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$")
LFS_SUFFIXES = (
    ".7z .arrow .bin .bz2 .ckpt .ftz .gz .h5 .joblib .mlmodel .model .msgpack .npy .npz .onnx .ot "
    ".parquet .pb .pickle .pkl .pt .pth .rar .safetensors .tar .tflite .tgz .wasm .xz .zip .zst"
).split()
GITATTRIBUTES = "".join(
    f"*{s} filter=lfs diff=lfs merge=lfs -text\n" for s in LFS_SUFFIXES
).encode()


def git_blob_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def lfs_pointer(oid, size):
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()


class Entry:
    """One file of a tree: either regular (data) or lfs (oid/size; bytes live in Hub.objects)."""

    __slots__ = ("data", "lfs_oid", "lfs_size")

    def __init__(self, data=None, lfs_oid=None, lfs_size=None):
        self.data, self.lfs_oid, self.lfs_size = data, lfs_oid, lfs_size

    @property
    def blob_id(self):
        return git_blob_sha1(
            self.data if self.data is not None else lfs_pointer(self.lfs_oid, self.lfs_size)
        )

    @property
    def size(self):
        return len(self.data) if self.data is not None else self.lfs_size


class Commit:
    def __init__(self, parent, tree, title, message, author):
        self.parent, self.tree, self.title, self.message, self.author = (
            parent,
            tree,
            title,
            message,
            author,
        )
        self.date = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        h = hashlib.sha1()
        h.update(
            repr(
                (
                    parent and parent.oid,
                    title,
                    message,
                    author,
                    time.time_ns(),
                    sorted((p, e.blob_id) for p, e in tree.items()),
                )
            ).encode()
        )
        self.oid = h.hexdigest()


class Repo:
    def __init__(self, rtype, rid, private, user):
        self.type, self.id, self.private = rtype, rid, private
        self.created = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        first = Commit(
            None, {".gitattributes": Entry(data=GITATTRIBUTES)}, "initial commit", "", user
        )
        self.commits = {first.oid: first}
        self.branches = {"main": first}
        self.tags = {}
        self.prs = 0

    def resolve(self, rev):
        rev = rev or "main"
        for name in (rev, rev.removeprefix("refs/heads/")):
            if name in self.branches:
                return self.branches[name]
        if rev in self.tags:
            return self.tags[rev]
        if re.fullmatch(r"[0-9a-f]{7,40}", rev):
            hits = [c for o, c in self.commits.items() if o.startswith(rev)]
            if len(hits) == 1:
                return hits[0]
        return None


class Hub:
    def __init__(self, opt):
        self.opt, self.lock = opt, threading.RLock()
        self.log, self.faults = [], []
        self.reset()

    def reset(self):
        with self.lock:
            self.repos, self.objects, self.uploads = {}, {}, {}
            self.log.clear()
            self.faults.clear()


class Reply(Exception):
    def __init__(self, status, body=b"", headers=None):
        self.status, self.headers = status, dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            self.headers.setdefault("Content-Type", "application/json; charset=utf-8")
        self.body = body.encode() if isinstance(body, str) else body


def err(status, message, code=None, **extra):
    h = {"X-Error-Message": message.replace("\n", " ")}
    if code:
        h["X-Error-Code"] = code
    return Reply(status, {"error": message, **extra}, h)


class Base(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fakehub/1"
    role = "hub"

    def log_message(self, *a):
        pass

    @property
    def hub(self):
        return self.server.hub

    # ------------------------------------------------------------------ plumbing
    def read_body(self):
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            out = []
            while True:
                n = int(self.rfile.readline().split(b";")[0].strip() or b"0", 16)
                if n == 0:
                    while self.rfile.readline().strip():
                        pass
                    break
                out.append(self.rfile.read(n))
                self.rfile.readline()
            return b"".join(out)
        n = self.headers.get("Content-Length")
        return self.rfile.read(int(n)) if n else b""

    def serve(self):
        hub, method = self.hub, self.command
        parts = urlsplit(self.path)
        self.upath, self.query = parts.path, parse_qs(parts.query, keep_blank_values=True)
        self.truncate = None
        try:
            body = self.read_body()
        except (ConnectionError, ValueError):
            self.close_connection = True
            return
        self.body = body
        rec = {
            "n": len(hub.log),
            "on": self.role,
            "method": method,
            "path": self.path,
            "headers": {k.lower(): v for k, v in self.headers.items()},
            "body_len": len(body),
        }
        ctype = self.headers.get("Content-Type") or ""
        if body and len(body) < 200_000 and ("json" in ctype or "urlencoded" in ctype):
            rec["body"] = body.decode("utf-8", "replace")
        if "authorization" in rec["headers"]:
            rec["headers"]["authorization"] = "Bearer <redacted>"
        fault = None
        if not self.upath.startswith("/__fake__/"):
            with hub.lock:
                hub.log.append(rec)
                for f in hub.faults:
                    if f["times"] > 0 and re.search(f["match"], f"{method} {self.path}"):
                        f["times"] -= 1
                        fault = f
                        break
        try:
            if fault is not None:
                rec["fault"] = {k: v for k, v in fault.items() if k != "times"}
                if fault.get("drop"):
                    rec["status"] = "dropped"
                    self.close_connection = True
                    self.connection.close()
                    return
                if "truncate" in fault:
                    self.truncate = int(fault["truncate"])
                self.no_etag = fault.get("etag") == ""
                if "status" in fault:
                    raise Reply(
                        fault["status"],
                        fault.get("body", {"error": "injected"}),
                        fault.get("headers"),
                    )
            else:
                self.no_etag = False
            self.route(method)
            raise err(404, f"fakehub: no route for {method} {self.upath}")
        except Reply as r:
            rec["status"] = r.status
            rec["reply_headers"] = {k: v for k, v in r.headers.items()}
            if len(r.body) < 20_000 and "json" in r.headers.get("Content-Type", ""):
                rec["reply"] = r.body.decode()
            self.finish_reply(r)
        if hub.opt.log:
            with hub.lock, open(hub.opt.log, "a") as f:
                f.write(json.dumps(rec) + "\n")
        if not hub.opt.quiet:
            print(
                f"[{self.role}] {method} {self.path} -> {rec.get('status')}",
                file=sys.stderr,
                flush=True,
            )

    def finish_reply(self, r):
        body = r.body
        try:
            self.send_response(r.status)
            self.send_header("X-Request-Id", "Root=fake-" + uuid.uuid4().hex[:12])
            for k, v in r.headers.items():
                self.send_header(k, v)
            if "Content-Length" not in r.headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                if self.truncate is not None and len(body) > self.truncate:
                    self.wfile.write(body[: self.truncate])
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.close()
                else:
                    self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = serve

    def json_body(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise err(400, "Invalid JSON in request body")

    def data_reply(self, data, headers):
        """200/206 with Range support."""
        h = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
        rng = self.headers.get("Range")
        m = re.fullmatch(r"\s*bytes\s*=\s*(\d*)-(\d*)\s*", rng) if rng else None
        if m and (m[1] or m[2]):
            n = len(data)
            if m[1]:
                a, b = int(m[1]), min(int(m[2]) if m[2] else n - 1, n - 1)
            else:
                a, b = max(0, n - int(m[2])), n - 1
            if a >= n or a > b:
                return Reply(416, b"", {"Content-Range": f"bytes */{n}"})
            h["Content-Range"] = f"bytes {a}-{b}/{n}"
            return Reply(206, data[a : b + 1], h)
        return Reply(200, data, h)


class CdnHandler(Base):
    """Object storage: signed URLs, no credentials allowed."""

    role = "cdn"

    def route(self, method):
        hub = self.hub
        if self.headers.get("Authorization"):
            raise Reply(
                400,
                "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>",
                {"Content-Type": "application/xml"},
            )
        m = re.fullmatch(r"/get/([0-9a-f]{64})", self.upath)
        if m and method in ("GET", "HEAD"):
            if "sig" not in self.query:
                raise Reply(
                    403,
                    "<Error><Code>AccessDenied</Code></Error>",
                    {"Content-Type": "application/xml"},
                )
            data = hub.objects.get(m[1])
            if data is None:
                raise Reply(
                    404,
                    "<Error><Code>NoSuchKey</Code></Error>",
                    {"Content-Type": "application/xml"},
                )
            raise self.data_reply(data, {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})
        m = re.fullmatch(r"/put/([0-9a-f]{64})(?:/(\d+))?", self.upath)
        if m and method == "PUT":
            if "sig" not in self.query:
                raise Reply(
                    403,
                    "<Error><Code>AccessDenied</Code></Error>",
                    {"Content-Type": "application/xml"},
                )
            if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
                raise Reply(
                    501,
                    "<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality "
                    "that is not implemented: Transfer-Encoding</Message></Error>",
                    {"Content-Type": "application/xml"},
                )
            if not self.body:
                raise Reply(
                    501,
                    "<Error><Code>NotImplemented</Code></Error>",
                    {"Content-Type": "application/xml"},
                )
            with hub.lock:
                up = hub.uploads.get(m[1])
                if up is None:
                    raise Reply(
                        403,
                        "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
                        {"Content-Type": "application/xml"},
                    )
                etag = f'"{hashlib.md5(self.body).hexdigest()}"'
                if m[2] is None:
                    if (
                        hashlib.sha256(self.body).hexdigest() != m[1]
                        or len(self.body) != up["size"]
                    ):
                        raise Reply(
                            400,
                            "<Error><Code>BadDigest</Code></Error>",
                            {"Content-Type": "application/xml"},
                        )
                    hub.objects[m[1]] = self.body
                else:
                    up["parts"][int(m[2])] = self.body
                    up["etags"][int(m[2])] = etag
            raise Reply(200, b"", {} if self.no_etag else {"ETag": etag})


class HubHandler(Base):
    # ------------------------------------------------------------------ auth
    def who(self):
        a = self.headers.get("Authorization")
        if not a:
            return None
        if a != f"Bearer {self.hub.opt.token}":
            raise err(401, "Invalid credentials in Authorization header")
        return self.hub.opt.user

    def need_user(self):
        u = self.who()
        if u is None:
            raise err(401, "Invalid username or password.")
        return u

    def repo(self, rtype, rid, write=False):
        user = self.need_user() if write else self.who()
        r = self.hub.repos.get((rtype, rid))
        if r is None or (r.private and user is None):
            if user is None and not write:  # the real Hub hides existence from anonymous callers
                raise err(401, "Invalid username or password.", "RepoNotFound")
            raise err(404, "Repository not found", "RepoNotFound")
        if write and r.id.split("/")[0] != user and r.id.split("/")[0] not in self.hub.opt.orgs:
            raise err(403, "You don't have the rights to write in this repo")
        return r

    def commit_of(self, repo, rev):
        c = repo.resolve(rev)
        if c is None:
            raise err(404, f"Invalid rev id: {rev}", "RevisionNotFound")
        return c

    # ------------------------------------------------------------------ routes
    def route(self, method):
        p, hub = self.upath, self.hub
        if p.startswith("/__fake__/"):
            return self.control(method, p[len("/__fake__/") :])
        if p == "/api/whoami-v2" and method == "GET":
            u = self.need_user()
            raise Reply(
                200,
                {
                    "type": "user",
                    "id": "0" * 24,
                    "name": u,
                    "fullname": u,
                    "email": f"{u}@example.invalid",
                    "emailVerified": True,
                    "canPay": False,
                    "isPro": False,
                    "periodEnd": None,
                    "avatarUrl": "/avatars/0.svg",
                    "orgs": [
                        {
                            "type": "org",
                            "id": "1" * 24,
                            "name": o,
                            "fullname": o,
                            "roleInOrg": "admin",
                        }
                        for o in hub.opt.orgs
                    ],
                    "auth": {
                        "type": "access_token",
                        "accessToken": {
                            "displayName": "fake",
                            "role": "write",
                            "createdAt": "2026-01-01T00:00:00.000Z",
                        },
                    },
                },
            )
        if p == "/api/repos/create" and method == "POST":
            return self.create_repo()
        if p == "/api/repos/delete" and method == "DELETE":
            b = self.json_body()
            user = self.need_user()
            key = (b.get("type") or "model", f"{b.get('organization') or user}/{b['name']}")
            with hub.lock:
                if hub.repos.pop(key, None) is None:
                    raise err(404, "Repository not found", "RepoNotFound")
            raise Reply(200, b"OK", {"Content-Type": "text/plain"})
        if p == "/api/validate-yaml" and method == "POST":
            b = self.json_body()
            if not isinstance(b.get("content"), str):
                raise err(400, "content must be a string")
            m = re.match(r"^---\r?\n(.*?)\r?\n---", b["content"], re.S)
            warn = [] if m else [{"message": "empty or missing yaml metadata in repo card"}]
            bad = m and any(
                l and not l.startswith((" ", "-", "#")) and ":" not in l for l in m[1].splitlines()
            )
            if bad:
                raise Reply(
                    400,
                    {
                        "errors": [{"message": "YAML Metadata Error: bad mapping entry"}],
                        "warnings": [],
                    },
                )
            raise Reply(200, {"errors": [], "warnings": warn})
        if p == "/api/agent-harnesses":
            raise Reply(200, {"standardEnvVars": [], "harnesses": {}})
        m = re.fullmatch(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", p)
        if m and method == "POST":
            return self.lfs_batch(REPO_TYPES.get(m[1] or "models"), m[2])
        m = re.fullmatch(r"/__lfs__/(complete|verify)/([0-9a-f]{64})", p)
        if m and method == "POST":
            return self.lfs_complete(m[2]) if m[1] == "complete" else self.lfs_verify(m[2])
        m = re.fullmatch(r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/(.*))?", p)
        if m:
            return self.repo_api(method, REPO_TYPES[m[1]], m[2], m[3] or "")
        m = re.fullmatch(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/(?:resolve|raw)/([^/]+)/(.+)", p)
        if m and method in ("GET", "HEAD"):
            return self.resolve(
                REPO_TYPES.get(m[1] or "models"), m[2], unquote(m[3]), unquote(m[4])
            )

    def create_repo(self):
        user, b, hub = self.need_user(), self.json_body(), self.hub
        name, org, rtype = b.get("name"), b.get("organization"), b.get("type") or "model"
        if not isinstance(name, str) or not NAME_RE.match(name) or "--" in name or ".." in name:
            raise err(400, f"Invalid repo name: {name!r}")
        if rtype not in REPO_TYPES.values():
            raise err(400, f"Invalid repo type: {rtype!r}")
        ns = org or user
        if ns != user and ns not in hub.opt.orgs:
            raise err(
                403, f'You don\'t have the rights to create a {rtype} under the namespace "{ns}"'
            )
        private = b.get("private", b.get("visibility") == "private")
        prefix = "" if rtype == "model" else rtype + "s/"
        url = f"{hub.base}/{prefix}{ns}/{name}"
        with hub.lock:
            if (rtype, f"{ns}/{name}") in hub.repos:
                raise err(409, f"You already created this {rtype} repo: {ns}/{name}", url=url)
            hub.repos[rtype, f"{ns}/{name}"] = Repo(rtype, f"{ns}/{name}", bool(private), user)
        raise Reply(200, {"url": url, "name": f"{ns}/{name}", "id": uuid.uuid4().hex[:24]})

    # ------------------------------------------------------------------ repo api
    def repo_api(self, method, rtype, rid, rest):
        hub = self.hub
        head, _, tail = rest.partition("/")
        if method == "GET" and head in ("", "revision"):
            repo = self.repo(rtype, rid)
            return self.repo_info(repo, self.commit_of(repo, unquote(tail) if head else "main"))
        if method == "GET" and head == "tree":
            repo = self.repo(rtype, rid)
            rev, _, path = tail.partition("/")
            return self.tree(repo, self.commit_of(repo, unquote(rev)), unquote(path))
        if method == "POST" and head == "paths-info":
            repo = self.repo(rtype, rid)
            c = self.commit_of(repo, unquote(tail))
            if "json" in (self.headers.get("Content-Type") or ""):
                paths = self.json_body()["paths"]
            else:
                paths = parse_qs(self.body.decode()).get("paths", [])
            out = []
            for q in paths:
                if q in c.tree:
                    out.append(self.file_info(q, c.tree[q]))
                elif any(f.startswith(q.rstrip("/") + "/") for f in c.tree):
                    out.append(
                        {"type": "directory", "path": q.rstrip("/"), "oid": NULL_OID, "size": 0}
                    )
            raise Reply(200, out)
        if method == "GET" and head == "refs":
            repo = self.repo(rtype, rid)
            raise Reply(
                200,
                {
                    "branches": [
                        {"name": n, "ref": f"refs/heads/{n}", "targetCommit": c.oid}
                        for n, c in repo.branches.items()
                    ],
                    "converts": [],
                    "tags": [
                        {"name": n, "ref": f"refs/tags/{n}", "targetCommit": c.oid}
                        for n, c in repo.tags.items()
                    ],
                },
            )
        if method == "GET" and head == "commits":
            repo = self.repo(rtype, rid)
            c, out = self.commit_of(repo, unquote(tail)), []
            while c:
                out.append(
                    {
                        "id": c.oid,
                        "title": c.title,
                        "message": c.message,
                        "date": c.date,
                        "authors": [{"user": c.author}],
                    }
                )
                c = c.parent
            raise Reply(200, out)
        if method == "POST" and head == "preupload":
            return self.preupload(self.repo(rtype, rid, write=True), unquote(tail))
        if method == "POST" and head == "commit":
            return self.commit(self.repo(rtype, rid, write=True), unquote(tail))
        if head in ("branch", "tag") and method in ("POST", "DELETE"):
            repo = self.repo(rtype, rid, write=True)
            name = unquote(tail)
            with hub.lock:
                if head == "branch":
                    if method == "DELETE":
                        repo.branches.pop(name, None)
                        raise Reply(200, b"")
                    if name in repo.branches:
                        raise err(409, f"Reference already exists: refs/heads/{name}")
                    b = self.json_body() if self.body else {}
                    repo.branches[name] = self.commit_of(repo, b.get("startingPoint") or "main")
                else:
                    if method == "DELETE":
                        repo.tags.pop(name, None)
                        raise Reply(200, b"")
                    b = self.json_body()
                    repo.tags[b["tag"]] = self.commit_of(repo, name)
            raise Reply(200, b"")
        if method == "PUT" and head == "settings":
            repo = self.repo(rtype, rid, write=True)
            b = self.json_body()
            if "private" in b or "visibility" in b:
                repo.private = bool(b.get("private", b.get("visibility") == "private"))
            raise Reply(200, b)
        if head.startswith("xet-"):
            raise err(404, "fakehub has no Xet storage: use the LFS route (HF_HUB_DISABLE_XET=1)")
        if head == "resolve" and method in ("GET", "HEAD"):
            rev, _, path = tail.partition("/")
            return self.resolve(rtype, rid, unquote(rev), unquote(path))

    def file_info(self, path, e):
        d = {"type": "file", "oid": e.blob_id, "size": e.size, "path": path}
        if e.data is None:
            d["lfs"] = {
                "oid": e.lfs_oid,
                "size": e.lfs_size,
                "pointerSize": len(lfs_pointer(e.lfs_oid, e.lfs_size)),
            }
        return d

    def repo_info(self, repo, c):
        blobs = self.query.get("blobs", ["false"])[0].lower() in ("true", "1")
        sib = []
        for path in sorted(c.tree):
            e = c.tree[path]
            s = {"rfilename": path}
            if blobs:
                s.update(size=e.size, blobId=e.blob_id)
                if e.data is None:
                    s["lfs"] = {
                        "sha256": e.lfs_oid,
                        "size": e.lfs_size,
                        "pointerSize": len(lfs_pointer(e.lfs_oid, e.lfs_size)),
                    }
            sib.append(s)
        last = repo.branches.get("main", c)
        raise Reply(
            200,
            {
                "_id": "0" * 24,
                "id": repo.id,
                "modelId": repo.id,
                "author": repo.id.split("/")[0],
                "sha": c.oid,
                "lastModified": last.date,
                "createdAt": repo.created,
                "private": repo.private,
                "gated": False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "siblings": sib,
            },
        )

    def tree(self, repo, c, path):
        recursive = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        expand = self.query.get("expand", ["false"])[0].lower() in ("true", "1")
        prefix = path.strip("/") + "/" if path.strip("/") else ""
        out, dirs = [], set()
        for f in sorted(c.tree):
            if not f.startswith(prefix):
                continue
            rel = f[len(prefix) :].split("/")
            for i in range(1, len(rel)):
                d = prefix + "/".join(rel[:i])
                if d not in dirs and (recursive or i == 1):
                    dirs.add(d)
                    out.append(
                        {
                            "type": "directory",
                            "oid": hashlib.sha1(d.encode()).hexdigest(),
                            "size": 0,
                            "path": d,
                        }
                    )
            if recursive or len(rel) == 1:
                out.append(self.file_info(f, c.tree[f]))
        if prefix and not out:
            raise err(404, f'{path} does not exist on "{c.oid}"', "EntryNotFound")
        if expand:
            for o in out:
                o["lastCommit"] = {"id": c.oid, "title": c.title, "date": c.date}
        limit = int(self.query.get("limit", [self.hub.opt.page])[0])
        start = int(self.query.get("cursor", ["0"])[0])
        headers = {}
        if start + limit < len(out):
            q = f"recursive={str(recursive).lower()}&expand={str(expand).lower()}&limit={limit}&cursor={start + limit}"
            headers["Link"] = f'<{self.hub.base}{self.upath}?{q}>; rel="next"'
        raise Reply(200, out[start : start + limit], headers)

    # ------------------------------------------------------------------ upload
    def preupload(self, repo, rev):
        b = self.json_body()
        files = b.get("files")
        if not isinstance(files, list) or len(files) > 256:
            raise err(400, "files must be a list of at most 256 entries")
        c = None if self.query.get("create_pr") else self.commit_of(repo, rev)
        c = c or repo.branches["main"]
        ignore = [
            g.strip()
            for g in (b.get("gitIgnore") or "").splitlines()
            if g.strip() and not g.startswith("#")
        ]
        out = []
        for f in files:
            if not (
                isinstance(f, dict)
                and isinstance(f.get("path"), str)
                and isinstance(f.get("size"), int)
                and isinstance(f.get("sample"), str)
            ):
                raise err(
                    400, "each file needs path (string), size (integer) and sample (base64 string)"
                )
            try:
                sample = base64.b64decode(f["sample"], validate=True)
            except ValueError:
                raise err(400, "sample is not base64")
            if len(sample) > 512 or (len(sample) != min(512, f["size"])):
                raise err(
                    400,
                    f"sample must be the first min(512,size) bytes, got {len(sample)} for size {f['size']}",
                )
            path = f["path"]
            lfs = (
                path.lower().endswith(tuple(LFS_SUFFIXES))
                or f["size"] > self.hub.opt.lfs_threshold
                or b"\0" in sample
            )
            e = c.tree.get(path)
            oid = None
            if e is not None:
                oid = e.lfs_oid if e.data is None else e.blob_id
            out.append(
                {
                    "path": path,
                    "uploadMode": "lfs" if lfs else "regular",
                    "shouldIgnore": any(
                        path == g
                        or path.startswith(g.rstrip("/") + "/")
                        or (g.startswith("*") and path.endswith(g[1:]))
                        for g in ignore
                    ),
                    **({"oid": oid} if oid else {}),
                }
            )
        raise Reply(200, {"commitOid": c.oid, "files": out})

    def lfs_batch(self, rtype, rid):
        self.repo(rtype, rid, write=True)
        hub, b = self.hub, self.json_body()
        if "vnd.git-lfs+json" not in (
            self.headers.get("Accept") or ""
        ) or "vnd.git-lfs+json" not in (self.headers.get("Content-Type") or ""):
            raise err(406, "Accept and Content-Type must be application/vnd.git-lfs+json")
        if (
            b.get("operation") != "upload"
            or b.get("hash_algo", "sha256") != "sha256"
            or not isinstance(b.get("objects"), list)
        ):
            raise err(422, "only upload batches with sha256 are supported")
        transfers = b.get("transfers") or ["basic"]
        out, chosen = [], "basic"
        for o in b["objects"]:
            oid, size = o.get("oid"), o.get("size")
            if not (
                isinstance(oid, str)
                and re.fullmatch(r"[0-9a-f]{64}", oid)
                and isinstance(size, int)
                and size > 0
            ):
                out.append(
                    {
                        "oid": str(oid),
                        "size": size if isinstance(size, int) else 0,
                        "error": {"code": 422, "message": "Invalid oid or size"},
                    }
                )
                continue
            item = {"oid": oid, "size": size}
            if oid not in hub.objects:
                sig = uuid.uuid4().hex
                with hub.lock:
                    hub.uploads[oid] = {"size": size, "parts": {}, "etags": {}}
                verify = (
                    {"verify": {"href": f"{hub.base}/__lfs__/verify/{oid}", "header": {}}}
                    if hub.opt.verify
                    else {}
                )
                if "multipart" in transfers and size > hub.opt.multipart_threshold:
                    chosen = "multipart"
                    cs = hub.opt.chunk_size
                    n = -(-size // cs)
                    header = {
                        "chunk_size": str(cs),
                        **{
                            f"{i:05d}": f"{hub.cdn}/put/{oid}/{i}?sig={sig}"
                            for i in range(1, n + 1)
                        },
                    }
                    hub.uploads[oid]["n"] = n
                    item["actions"] = {
                        "upload": {
                            "href": f"{hub.base}/__lfs__/complete/{oid}?uploadId={sig}",
                            "header": header,
                        },
                        **verify,
                    }
                elif "basic" in transfers:
                    item["actions"] = {
                        "upload": {"href": f"{hub.cdn}/put/{oid}?sig={sig}", "header": {}},
                        **verify,
                    }
                else:
                    out.append(
                        {**item, "error": {"code": 422, "message": "no common transfer adapter"}}
                    )
                    continue
                item["authenticated"] = True
            out.append(item)
        raise Reply(
            200,
            {"transfer": chosen, "objects": out},
            {"Content-Type": "application/vnd.git-lfs+json"},
        )

    def lfs_complete(self, oid):
        hub, b = self.hub, self.json_body()
        with hub.lock:
            up = hub.uploads.get(oid)
            if up is None or b.get("oid") != oid:
                raise err(400, "unknown upload or oid mismatch")
            parts = b.get("parts")
            want = [
                {"partNumber": i, "etag": up["etags"].get(i)} for i in range(1, up.get("n", 0) + 1)
            ]
            if parts != want:
                raise err(400, "parts do not match what was uploaded", expected=want)
            data = b"".join(up["parts"][i] for i in sorted(up["parts"]))
            if hashlib.sha256(data).hexdigest() != oid or len(data) != up["size"]:
                raise err(400, "sha256 or size mismatch after joining parts")
            hub.objects[oid] = data
        raise Reply(200, {"success": True})

    def lfs_verify(self, oid):
        b = self.json_body()
        self.need_user()
        data = self.hub.objects.get(oid)
        if data is None or b.get("oid") != oid or b.get("size") != len(data):
            raise err(404, "object not found or size mismatch")
        raise Reply(200, {})

    def commit(self, repo, rev):
        hub = self.hub
        if (self.headers.get("Content-Type") or "").split(";")[0].strip() != "application/x-ndjson":
            raise err(415, "Content-Type must be application/x-ndjson")
        try:
            lines = [json.loads(l) for l in self.body.decode().split("\n") if l.strip()]
        except ValueError:
            raise err(400, "commit body is not newline-delimited JSON")
        if not lines or lines[0].get("key") != "header":
            raise err(400, 'first line must be {"key":"header",...}')
        hv = lines[0].get("value") or {}
        if not isinstance(hv.get("summary"), str) or not hv["summary"]:
            raise err(400, "header.value.summary must be a non-empty string")
        with hub.lock:
            create_pr = bool(self.query.get("create_pr"))
            if rev not in repo.branches and not create_pr:
                raise err(404, f"Invalid rev id: {rev}", "RevisionNotFound")
            base = repo.branches.get(rev, repo.branches["main"])
            parent = hv.get("parentCommit")
            if parent and not base.oid.startswith(parent):
                raise err(412, "A commit has happened since. Please refresh and try again.")
            tree, touched = dict(base.tree), 0
            for n, line in enumerate(lines[1:], 2):
                key, v = line.get("key"), line.get("value") or {}
                path = v.get("path")
                if (
                    not isinstance(path, str)
                    or not path
                    or path.startswith("/")
                    or ".." in path.split("/")
                    or ".git" in path.split("/")
                ):
                    raise err(400, f"line {n}: invalid path {path!r}")
                if key == "file":
                    if v.get("encoding") not in ("base64", "utf-8", None):
                        raise err(400, f"line {n}: unknown encoding {v.get('encoding')!r}")
                    try:
                        data = (
                            base64.b64decode(v["content"], validate=True)
                            if v.get("encoding") == "base64"
                            else v["content"].encode()
                        )
                    except (ValueError, KeyError):
                        raise err(400, f"line {n}: content is not valid base64")
                    if len(data) > hub.opt.lfs_threshold or (
                        path.lower().endswith(tuple(LFS_SUFFIXES)) and data
                    ):
                        raise err(
                            400,
                            f"Your push was rejected because it contains files that should use LFS: {path}",
                        )
                    tree[path] = Entry(data=data)
                elif key == "lfsFile":
                    oid = v.get("oid")
                    if (
                        v.get("algo") != "sha256"
                        or not isinstance(oid, str)
                        or not re.fullmatch(r"[0-9a-f]{64}", oid)
                    ):
                        raise err(400, f"line {n}: lfsFile needs algo=sha256 and a 64-hex oid")
                    if oid not in hub.objects:
                        raise err(
                            400,
                            f"Your push was rejected because an LFS pointer pointed to a file that does not exist. Offending file: {path}",
                        )
                    if "size" in v and v["size"] != len(hub.objects[oid]):
                        raise err(
                            400, f"line {n}: lfsFile size {v['size']} is not the object's size"
                        )
                    tree[path] = Entry(lfs_oid=oid, lfs_size=len(hub.objects[oid]))
                elif key == "deletedFile":
                    if tree.pop(path, None) is None:
                        raise err(
                            404, f"A file with this name doesn't exist: {path}", "EntryNotFound"
                        )
                elif key == "deletedFolder":
                    gone = [f for f in tree if f.startswith(path.rstrip("/") + "/")]
                    if not gone:
                        raise err(
                            404, f"A folder with this name doesn't exist: {path}", "EntryNotFound"
                        )
                    for f in gone:
                        del tree[f]
                else:
                    raise err(400, f"line {n}: unknown key {key!r}")
                touched += 1
            c = Commit(base, tree, hv["summary"], hv.get("description", ""), hub.opt.user)
            repo.commits[c.oid] = c
            prefix = "" if repo.type == "model" else repo.type + "s/"
            reply = {
                "success": True,
                "commitOid": c.oid,
                "commitUrl": f"{hub.base}/{prefix}{repo.id}/commit/{c.oid}",
                "hookOutput": "",
            }
            if create_pr:
                repo.prs += 1
                repo.branches[f"refs/pr/{repo.prs}"] = c
                reply["pullRequestUrl"] = f"{hub.base}/{prefix}{repo.id}/discussions/{repo.prs}"
            else:
                repo.branches[rev] = c
        raise Reply(200, reply)

    # ------------------------------------------------------------------ download
    def resolve(self, rtype, rid, rev, path):
        hub = self.hub
        repo = self.repo(rtype, rid)
        c = self.commit_of(repo, rev)
        e = c.tree.get(path)
        h = {
            "X-Repo-Commit": c.oid,
            "Access-Control-Expose-Headers": "X-Repo-Commit,X-Linked-Size,X-Linked-ETag,ETag",
        }
        if e is None:
            r = err(404, "Entry not found", "EntryNotFound")
            r.headers.update(h)
            raise r
        if e.data is not None:
            h.update(
                {
                    "ETag": f'"{e.blob_id}"',
                    "Content-Disposition": f"inline; filename*=UTF-8''{quote(path.split('/')[-1])};",
                }
            )
            raise self.data_reply(e.data, h)
        loc = f"{hub.cdn}/get/{e.lfs_oid}?sig={uuid.uuid4().hex}&Expires={int(time.time()) + 3600}"
        h.update(
            {
                "X-Linked-Size": str(e.lfs_size),
                "X-Linked-ETag": f'"{e.lfs_oid}"',
                "Location": loc,
                "Content-Type": "text/plain; charset=utf-8",
            }
        )
        raise Reply(302, f"Found. Redirecting to {loc}", h)

    # ------------------------------------------------------------------ control
    def control(self, method, what):
        hub = self.hub
        if what == "log":
            raise Reply(200, hub.log)
        if what == "reset" and method == "POST":
            hub.reset()
            raise Reply(200, {})
        if what == "calm" and method == "POST":
            with hub.lock:
                hub.faults.clear()
            raise Reply(200, {})
        if what == "fault" and method == "POST":
            f = self.json_body()
            f.setdefault("times", 1)
            with hub.lock:
                hub.faults.append(f)
            raise Reply(200, {})
        if what == "state":
            raise Reply(
                200,
                [
                    {
                        "type": r.type,
                        "id": r.id,
                        "private": r.private,
                        "branches": {
                            n: {
                                "oid": c.oid,
                                "title": c.title,
                                "message": c.message,
                                "files": [self.file_info(p, e) for p, e in sorted(c.tree.items())],
                            }
                            for n, c in r.branches.items()
                        },
                    }
                    for r in hub.repos.values()
                ],
            )


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def get_request(self):
        sock, addr = super().get_request()
        self.open_socks = getattr(self, "open_socks", [])
        self.open_socks.append(sock)
        return sock, addr

    def close_all(self):  # keep-alive connections would otherwise go on talking to a stopped hub
        for sock in getattr(self, "open_socks", []):
            try:
                sock.shutdown(2)
            except OSError:
                pass


def start(argv=()):
    """Start both listeners in background threads; returns the Hub (has .base, .cdn, .stop())."""
    ap = argparse.ArgumentParser()
    ap.add_argument("--port", type=int, default=0)
    ap.add_argument("--cdn-port", type=int, default=0)
    ap.add_argument("--token", default="hf_faketoken")
    ap.add_argument("--user", default="tester")
    ap.add_argument("--orgs", default="testorg", type=lambda s: [x for x in s.split(",") if x])
    ap.add_argument("--lfs-threshold", type=int, default=10 * 1024 * 1024)
    ap.add_argument("--multipart-threshold", type=int, default=1 << 40)
    ap.add_argument("--chunk-size", type=int, default=5 * 1024 * 1024)
    ap.add_argument("--page", type=int, default=1000)
    ap.add_argument("--verify", action="store_true")
    ap.add_argument("--log")
    ap.add_argument("--ready-file")
    ap.add_argument("--max-seconds", type=float, default=600)
    ap.add_argument("--quiet", action="store_true")
    opt = ap.parse_args(list(argv))
    if isinstance(opt.orgs, str):
        opt.orgs = [opt.orgs]
    hub = Hub(opt)
    servers = []
    for handler, port in ((HubHandler, opt.port), (CdnHandler, opt.cdn_port)):
        s = Server(("127.0.0.1", port), handler)
        s.hub = hub
        threading.Thread(target=s.serve_forever, args=(0.1,), daemon=True).start()
        servers.append(s)
    hub.base = f"http://127.0.0.1:{servers[0].server_address[1]}"
    hub.cdn = f"http://127.0.0.1:{servers[1].server_address[1]}"

    def stop():
        for s in servers:
            s.shutdown()
            s.server_close()
            s.close_all()

    hub.stop = stop
    return hub


if __name__ == "__main__":
    hub = start(sys.argv[1:])
    line = f"FAKEHUB READY {hub.base} cdn={hub.cdn}"
    print(line, flush=True)
    if hub.opt.ready_file:
        with open(hub.opt.ready_file + ".tmp", "w") as f:
            f.write(line + "\n")
        os.replace(hub.opt.ready_file + ".tmp", hub.opt.ready_file)
    try:
        time.sleep(hub.opt.max_seconds)
    except KeyboardInterrupt:
        pass
    hub.stop()
