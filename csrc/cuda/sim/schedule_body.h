// SPDX-License-Identifier: Apache-2.0
/// Who runs when: warps and blocks that meet, and reports of those that do not.

#pragma once

namespace cusim {
namespace {
bool same_place(const Thread &a, const Thread &b) {
    return a.op == b.op && a.line == b.line && !strcmp(a.file, b.file);
}

// Completes the warp intrinsics of one warp whose lanes have all arrived.
bool resolve_warp(unsigned base) {
    const unsigned lanes = std::min(32u, count - base);
    Thread *const w = &threads[base];
    bool released = false;
    for (unsigned l = 0; l < lanes; l++) {
        Thread &t = w[l];
        if (t.state != kAtWarp) continue;
        unsigned live = 0;
        bool all = true;
        for (unsigned k = 0; k < lanes && all; k++) {
            if (!(t.mask >> k & 1) || w[k].state == kDone) continue;
            if (w[k].state == kAtWarp && w[k].mask == t.mask && same_place(w[k], t))
                live |= 1u << k;
            else
                all = false;
        }
        if (!all) continue;
        uint64_t ballot = 0, sum = 0, mx = 0, mn = ~0u;
        for (unsigned k = 0; k < lanes; k++)
            if (live >> k & 1) {
                ballot |= (uint64_t)(w[k].in != 0) << k;
                sum += w[k].in;
                mx = std::max(mx, w[k].in);
                mn = std::min(mn, w[k].in);
            }
        for (unsigned k = 0; k < lanes; k++) {
            if (!(live >> k & 1)) continue;
            Thread &u = w[k];
            const int seg = k & ~(u.width - 1), last = seg + (int)u.width - 1;
            int src = -1;
            switch (u.op) {
                case kShflIdx:
                    src = seg + (u.arg & ((int)u.width - 1));
                    break;
                case kShflUp:
                    src = (int)k - u.arg < seg ? (int)k : (int)k - u.arg;
                    break;
                case kShflDown:
                    src = (int)k + u.arg > last ? (int)k : (int)k + u.arg;
                    break;
                case kShflXor:
                    src = ((int)k ^ u.arg) > last ? (int)k : (int)k ^ u.arg;
                    break;
                case kBallot:
                    u.out = ballot;
                    break;
                case kAll:
                    u.out = ballot == live;
                    break;
                case kAny:
                    u.out = ballot != 0;
                    break;
                case kAddU:
                    u.out = (unsigned)sum;
                    break;
                case kMaxU:
                    u.out = mx;
                    break;
                case kMinU:
                    u.out = mn;
                    break;
                default:
                    u.out = 0;
            }
            if (src >= 0) u.out = live >> src & 1 ? w[src].in : ~0ull;  // a lane outside: NaN
            u.state = kReady;
        }
        released = true;
    }
    return released;
}

void describe_stuck() {
    std::map<std::string, std::vector<unsigned>> where;
    for (unsigned i = 0; i < count; i++) {
        const Thread &t = threads[i];
        char b[512];
        if (t.state == kDone)
            snprintf(b, sizeof b, "have returned");
        else if (t.state == kAtWarp)
            snprintf(b, sizeof b, "wait in %s mask %08x at %s:%d", t.what, t.mask, t.file, t.line);
        else
            snprintf(b, sizeof b, "wait in %s at %s:%d", t.what, t.file, t.line);
        where[b].push_back(i);
    }
    std::string s = "threads do not meet:";
    for (auto &[k, v] : where) {
        char b[700];
        snprintf(b, sizeof b, "\n  %zu threads (%u..%u) %s", v.size(), v.front(), v.back(),
                 k.c_str());
        s += b;
    }
    fail(cudaErrorLaunchFailure, "%s", s.c_str());
}

bool resolve_block() {
    unsigned waiting = 0, done = 0, pred = 0;
    const Thread *first = nullptr;
    for (unsigned i = 0; i < count; i++) {
        const Thread &t = threads[i];
        if (t.state == kDone) {
            done++;
            continue;
        }
        if (t.state != kAtBlock || (first && !same_place(*first, t))) return false;
        first = &t;
        waiting++;
        pred += t.in != 0;
    }
    if (done) return false;  // some threads returned before the barrier
    for (unsigned i = 0; i < count; i++) {
        Thread &t = threads[i];
        t.out = t.op == kCount ? pred : t.op == kAnd ? pred == waiting : pred != 0;
        t.state = kReady;
    }
    return true;
}

void run_block(int order) {
    std::vector<unsigned> warps((count + 31) / 32), lanes(32);
    for (unsigned i = 0; i < warps.size(); i++) warps[i] = i;
    for (unsigned i = 0; i < 32; i++) lanes[i] = i;
    if (order == 1) {
        std::reverse(warps.begin(), warps.end());
        std::reverse(lanes.begin(), lanes.end());
    }
    const size_t shared = cusim_shared_begin ? cusim_shared_end - cusim_shared_begin : 0;
#ifdef SAN_THREAD  // new shared memory for every block, or blocks would seem to race on it
    sync_tags.emplace_back(2 + 2 * warps.size());
    by_block = env("CUSIM_RACE", 0);
    static bool java = (__tsan_java_init(8, (uintptr_t)1 << 47), true);
    (void)java;
    if (shared) __tsan_java_alloc((uintptr_t)cusim_shared_begin & ~7, (shared + 15) & ~7);
    if (now.smem) __tsan_java_alloc((uintptr_t)now.dyn & ~7, (now.smem + 15) & ~7);
#else
    if (shared) memset(cusim_shared_begin, 0xff, shared);
    if (now.smem) memset(now.dyn, 0xff, now.smem);
#endif
    for (unsigned i = 0; i < count; i++) start(threads[i], i);
    for (;;) {
        bool ran = false;
        if (order > 1) {
            std::shuffle(warps.begin(), warps.end(), rng);
            std::shuffle(lanes.begin(), lanes.end(), rng);
        }
        for (unsigned w : warps) {
            bool again;
            do {
                for (unsigned l : lanes) {
                    const unsigned i = w * 32 + l;
                    if (i >= count || threads[i].state != kReady) continue;
                    ran = true;
                    to_fiber(threads[i]);
                    if (!failure.empty()) return;
                }
                again = resolve_warp(w * 32);
            } while (again && (order < 2 || (rng() & 3)));
        }
        if (ran) continue;
        unsigned done = 0;
        for (unsigned i = 0; i < count; i++) done += threads[i].state == kDone;
        if (done == count) return;
        if (!resolve_block()) return describe_stuck();
    }
}
}  // namespace

uint64_t warp_op(Op op, unsigned mask, uint64_t v, int arg, int width, const char *what,
                 const char *file, int line) {
    Thread &t = *current;
    if (!(mask >> (t.lin & 31) & 1))
        fail(cudaErrorLaunchFailure,
             "thread %u calls %s with mask %08x that lacks its own lane, %s:%d", t.lin, what, mask,
             file, line);
    t.op = op, t.mask = mask, t.in = v, t.arg = arg, t.width = width, t.what = what, t.file = file,
    t.line = line;
    t.state = kAtWarp;
#ifdef SAN_THREAD  // only __syncwarp orders memory; a shuffle does not
    const unsigned sync = 2 + t.lin / 32 * 2 + (op == kSyncWarp ? t.phase++ & 1 : 0);
    if (op == kSyncWarp) __tsan_release(tag(sync));
#endif
    to_scheduler(t);
#ifdef SAN_THREAD
    if (op == kSyncWarp) __tsan_acquire(tag(sync));
#endif
    return t.out;
}

// mma.sync.m16n8k16.row.col.f32.bf16.bf16.f32, fragment layout of the PTX ISA.
void mma_m16n8k16_bf16(float *d, const uint32_t *a, const uint32_t *b, const float *c) {
    static struct {
        uint32_t a[4], b[2];
    } frag[1024];
    const unsigned lin = current->lin, lane = lin & 31, g = lane >> 2, t = lane & 3;
    auto *const w = frag + (lin & ~31u);
    memcpy(w[lane].a, a, sizeof w->a);
    memcpy(w[lane].b, b, sizeof w->b);
    warp_op(kBallot, ~0u, 0, 0, 32, "mma.sync", "mma.m16n8k16", 0);
    auto half = [](uint32_t u, unsigned hi) { return from<float>(hi ? u & 0xffff0000u : u << 16); };
    float r[4];
    for (unsigned i = 0; i < 4; i++) {
        const unsigned row = g + (i & 2 ? 8 : 0), col = 2 * t + (i & 1);
        float acc = c[i];
        for (unsigned k = 0; k < 16; k++) {
            const unsigned q = (k & 7) >> 1, k8 = k >> 3;  // lane in the group, upper half of K
            acc += half(w[(row & 7) * 4 + q].a[k8 * 2 + (row >> 3)], k & 1) *
                   half(w[col * 4 + q].b[k8], k & 1);
        }
        r[i] = acc;
    }
    warp_op(kBallot, ~0u, 0, 0, 32, "mma.sync", "mma.m16n8k16", 1);
    memcpy(d, r, sizeof r);
}

void device_fail(const char *fmt, ...) {
    char b[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(b, sizeof b, fmt, ap);
    va_end(ap);
    fail(cudaErrorIllegalAddress, "thread (%u,%u,%u): %s", current->tid.x, current->tid.y,
         current->tid.z, b);
    for (;;) to_scheduler(*current);
}

int block_op(Op op, int v, const char *what, const char *file, int line) {
    Thread &t = *current;
    t.op = op, t.in = v != 0, t.what = what, t.file = file, t.line = line;
    t.state = kAtBlock;
#ifdef SAN_THREAD
    const unsigned sync = t.barriers++ & 1;
    __tsan_release(tag(sync));
#endif
    to_scheduler(t);
#ifdef SAN_THREAD
    __tsan_acquire(tag(sync));
#endif
    return (int)t.out;
}
}  // namespace cusim
