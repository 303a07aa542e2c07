// SPDX-License-Identifier: Apache-2.0
/// Streams: work is queued and runs when something waits for it.

#pragma once

struct cusim_stream {
    std::deque<std::function<void()>> q;
    uint64_t queued = 0, done = 0;
    bool blocking = true;
};
struct cusim_event {
    cusim_stream *s = nullptr;
    uint64_t at = 0;
};
namespace {
cusim_stream legacy;
std::set<cusim_stream *> streams{&legacy};

void run_until(cusim_stream *s, uint64_t n) {
    if (!streams.count(s)) return;
    OnDevice on;
    while (s->done < n && !s->q.empty()) {
        auto f = std::move(s->q.front());
        s->q.pop_front();
        s->done++;
        if (!sticky) f();
    }
}
void drain(cusim_stream *s) { run_until(s, s->queued); }
void drain_all() {
    for (auto *s : std::set<cusim_stream *>(streams)) drain(s);
}

cudaError_t enqueue(cudaStream_t s, std::function<void()> f) {
    if (!s) {
        for (auto *o : std::set<cusim_stream *>(streams))
            if (o->blocking && o != &legacy) drain(o);
        s = &legacy;
    } else if (s->blocking) {
        drain(&legacy);
    }
    s->q.push_back(std::move(f));
    s->queued++;
    if (env("CUSIM_SYNC", 0)) drain(s);
    return cudaSuccess;
}
}  // namespace
