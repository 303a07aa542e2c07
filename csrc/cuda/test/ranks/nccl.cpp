// SPDX-License-Identifier: Apache-2.0
/// A double of NCCL for ranks that are processes on the simulator: a message is a file.
//
// It holds its caller to the rules: messages in groups only, lengths that agree, a rank per process.
// A rank that waits for what nobody sends ends after 60 seconds. CUSIM_NCCL_FAIL=join makes ranks
// fail to join, CUSIM_NCCL_FAIL=group makes the messages fail.
#include <fcntl.h>
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

struct ncclComm {
    std::string folder;
    int rank, ranks;
    std::map<std::pair<int, int>, unsigned long> counts;  // Messages from a rank to another.
};

namespace {

typedef cudaError_t Queue(const char *, const void *const *, size_t, cudaStream_t,
                          void (*)(void *), void *);
Queue *queue;

struct Message {
    void *memory;
    size_t bytes;
    int from, to;
    ncclComm_t ranks;
};
struct Group {
    std::vector<Message> messages;
    cudaStream_t stream = nullptr;
};
Group *open_group;

bool fails(const char *what) {
    const char *wanted = getenv("CUSIM_NCCL_FAIL");
    return wanted && strcmp(wanted, what) == 0;
}

std::string name_of(const Message &m) {
    ncclComm &ranks = *m.ranks;
    return ranks.folder + "/" + std::to_string(m.from) + "-" + std::to_string(m.to) + "-"
        + std::to_string(ranks.counts[{m.from, m.to}]++);
}

[[noreturn]] void stop(const char *why, const std::string &name) {
    fprintf(stderr, "the double of NCCL: %s: %s\n", name.c_str(), why);
    _exit(3);
}

void put(const std::string &name, const void *bytes, size_t count) {
    const std::string draft = name + ".draft";
    FILE *file = fopen(draft.c_str(), "wb");
    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file)
        || rename(draft.c_str(), name.c_str()))
        stop("cannot be written", name);
}

void get(const std::string &name, void *bytes, size_t count) {
    FILE *file = nullptr;
    for (int naps = 0; !(file = fopen(name.c_str(), "rb")); naps++) {
        if (naps > 600000) stop("nobody sent it within 60 seconds", name);
        usleep(100);
    }
    if (fread(bytes, 1, count, file) != count || fgetc(file) != EOF) stop("another length", name);
    fclose(file);
    unlink(name.c_str());
}

void deliver(void *argument) {
    Group *group = (Group *)argument;
    for (const Message &m : group->messages)
        if (m.from == m.ranks->rank) put(name_of(m), m.memory, m.bytes);
    for (const Message &m : group->messages)
        if (m.to == m.ranks->rank) get(name_of(m), m.memory, m.bytes);
    delete group;
}

ncclResult_t add(const Message &message, ncclDataType_t type, cudaStream_t stream) {
    ncclComm &ranks = *message.ranks;
    const int other = message.from == ranks.rank ? message.to : message.from;
    if (other < 0 || other >= ranks.ranks || type != ncclUint8) return ncclInvalidArgument;
    if (!open_group) return ncclInvalidUsage;
    if (!open_group->messages.empty() && open_group->stream != stream) return ncclInvalidUsage;
    open_group->stream = stream;
    open_group->messages.push_back(message);
    return fails("group") ? ncclSystemError : ncclSuccess;
}

}  // namespace

extern "C" void cusim_attach(Queue *of_the_simulator) { queue = of_the_simulator; }

ncclResult_t ncclGetVersion(int *version) {
    *version = 22703;
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    char folder[] = "/tmp/cairn-nccl-XXXXXX";
    if (!mkdtemp(folder)) return ncclSystemError;
    memset(id, 0, sizeof *id);
    memcpy(id->internal, folder, sizeof folder);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t *made, int ranks, ncclUniqueId id, int rank) {
    if (!queue || rank < 0 || rank >= ranks) return ncclInvalidArgument;
    if (fails("join")) return ncclInvalidUsage;
    const std::string folder = id.internal;
    char byte = 0;
    put(folder + "/here-" + std::to_string(rank), &byte, 1);
    for (int other = 0; other < ranks; other++) {
        const std::string name = folder + "/here-" + std::to_string(other);
        for (int naps = 0; access(name.c_str(), F_OK); naps++) {
            if (naps > 600000) stop("did not join within 60 seconds", name);
            usleep(100);
        }
    }
    *made = new ncclComm{folder, rank, ranks, {}};
    return ncclSuccess;
}

/// The last one to leave clears the folder away.
ncclResult_t ncclCommDestroy(ncclComm_t ranks) {
    char byte = 0;
    put(ranks->folder + "/gone-" + std::to_string(ranks->rank), &byte, 1);
    bool is_last = true;
    for (int other = 0; other < ranks->ranks; other++)
        is_last = is_last && !access((ranks->folder + "/gone-" + std::to_string(other)).c_str(), F_OK);
    for (int other = 0; is_last && other < ranks->ranks; other++) {
        unlink((ranks->folder + "/here-" + std::to_string(other)).c_str());
        unlink((ranks->folder + "/gone-" + std::to_string(other)).c_str());
    }
    if (is_last) rmdir(ranks->folder.c_str());
    delete ranks;
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t ranks) { return ncclCommDestroy(ranks); }

const char *ncclGetErrorString(ncclResult_t result) {
    switch (result) {
    case ncclSuccess: return "no error";
    case ncclSystemError: return "unhandled system error";
    case ncclInvalidArgument: return "invalid argument";
    case ncclInvalidUsage: return "invalid usage";
    }
    return "unknown";
}

ncclResult_t ncclGroupStart() {
    if (open_group) return ncclInvalidUsage;
    open_group = new Group;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
    if (!open_group) return ncclInvalidUsage;
    Group *group = open_group;
    open_group = nullptr;
    std::vector<const void *> memory;
    for (const Message &m : group->messages) memory.push_back(m.memory);
    if (memory.empty()) {
        delete group;
        return ncclSuccess;
    }
    return queue("ncclGroupEnd", memory.data(), memory.size(), group->stream, deliver, group)
                   == cudaSuccess
               ? ncclSuccess
               : ncclInvalidArgument;
}

ncclResult_t ncclSend(const void *memory, size_t bytes, ncclDataType_t type, int to,
                      ncclComm_t ranks, cudaStream_t stream) {
    return add({const_cast<void *>(memory), bytes, ranks->rank, to, ranks}, type, stream);
}

ncclResult_t ncclRecv(void *memory, size_t bytes, ncclDataType_t type, int from, ncclComm_t ranks,
                      cudaStream_t stream) {
    return add({memory, bytes, from, ranks->rank, ranks}, type, stream);
}
