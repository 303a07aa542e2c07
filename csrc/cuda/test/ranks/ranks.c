// SPDX-License-Identifier: Apache-2.0
/// Messages from GPU to GPU between processes: what arrives, in which order, and what is refused.
///
///     ranks N      N processes, on GPUs 0 ..< N or on as many as there are in turn
///     ranks none   NCCL is not to be found, and the library says so
///
/// Exit code 77: this machine has no device, or no NCCL.

#define _DEFAULT_SOURCE 1

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cairn_cuda.h"

enum { MOST = 64, NUMBERS = 1000 };

static size_t passed, failed;

static void expect(bool holds, const char *what) {
    if (holds) {
        passed++;
        return;
    }
    failed++;
    printf("FAIL %s (%s)\n", what, cairn_cuda_error_text());
}

/// Message `turn` from a rank to another: its length depends on both.
static size_t length(int from, int to) { return NUMBERS - 7 * (size_t)from - 11 * (size_t)to; }
static float number(int turn, int from, int to, size_t i) {
    return (float)(i + 1) + 2000.f * (float)((turn * 8 + from) * 8 + to);
}

static const cairn_backend *table;
static cairn_context *context;

static float *device_floats(void) {
    float *memory = table->allocate(context, NUMBERS * sizeof *memory);
    if (!memory) exit(1);
    return memory;
}

/// Everyone writes to everyone, twice; the second time what came is changed at once by a kernel.
static void test_messages(int rank, int size) {
    float host[NUMBERS], *out[MOST], *in[MOST];
    cairn_cuda_parcel parcels[2 * MOST];
    for (int other = 0; other < size; other++) {
        out[other] = device_floats();
        in[other] = device_floats();
    }
    for (int turn = 0; turn < 2; turn++) {
        size_t count = 0;
        for (int other = 0; other < size; other++) {
            if (other == rank) continue;
            for (size_t i = 0; i < length(rank, other); i++) host[i] = number(turn, rank, other, i);
            table->copy_in(context, out[other], host, length(rank, other) * sizeof *host);
            parcels[count++] = (cairn_cuda_parcel){
                out[other], length(rank, other) * sizeof *host, other, false};
            parcels[count++] = (cairn_cuda_parcel){
                in[other], length(other, rank) * sizeof *host, other, true};
        }
        expect(cairn_cuda_exchange(context, parcels, count) == CAIRN_CUDA_STATUS_OK, "an exchange");
        // What is sent may be overwritten at once, and what arrives be used: the stream has an order.
        for (int other = 0; other < size; other++) {
            if (other == rank) continue;
            table->zero(context, out[other], NUMBERS * sizeof *host);
            const cairn_status added = table->add(context, length(other, rank), in[other], 1,
                                                  in[other], in[other]);
            expect(added == CAIRN_STATUS_OK, "a kernel behind the exchange");
        }
        for (int other = 0; other < size; other++) {
            if (other == rank) continue;
            table->copy_out(context, host, in[other], length(other, rank) * sizeof *host);
            size_t wrong = 0;
            for (size_t i = 0; i < length(other, rank); i++)
                wrong += host[i] != 2 * number(turn, other, rank, i);
            expect(wrong == 0, "what arrived is what was sent");
        }
    }
    for (int other = 0; other < size; other++) {
        table->release(context, out[other]);
        table->release(context, in[other]);
    }
}

static void test_refusals(int rank, int size) {
    float *memory = device_floats();
    const int others[] = {-1, rank, size};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const cairn_cuda_parcel parcel = {memory, 4, others[i], i % 2 == 0};
        expect(cairn_cuda_exchange(context, &parcel, 1) == CAIRN_CUDA_STATUS_FAILED,
               "a message to no other rank is refused");
    }
    const cairn_cuda_parcel nothing = {memory, 0, 0, false};
    const cairn_cuda_ranks_id id = {{0}};
    expect(cairn_cuda_join(context, &id, rank, size) == CAIRN_CUDA_STATUS_FAILED,
           "a context joins once");
    expect(cairn_cuda_exchange(context, &nothing, 0) == CAIRN_CUDA_STATUS_OK, "nothing to exchange");
    table->release(context, memory);
}

static bool open_device(int number) {
    const cairn_cuda_options options = {0};
    table = cairn_cuda_backend(sizeof(cairn_backend));
    return table && cairn_cuda_open(number, &options, &context) == CAIRN_CUDA_STATUS_OK;
}

/// What a process of its own does; its exit code.
static int run_rank(int rank, int size, int device, const int *pipes) {
    cairn_cuda_ranks_id id;
    if (!open_device(device)) return 1;
    const cairn_cuda_parcel early = {context, 4, (rank + 1) % size, false};
    expect(cairn_cuda_exchange(context, &early, 1) == CAIRN_CUDA_STATUS_FAILED,
           "a message before joining is refused");
    if (rank == 0) {
        if (cairn_cuda_make_ranks_id(&id) != CAIRN_CUDA_STATUS_OK) return 1;
        for (int other = 1; other < size; other++)
            if (write(pipes[1], &id, sizeof id) != sizeof id) return 1;
    } else if (read(pipes[0], &id, sizeof id) != sizeof id) {
        return 1;
    }
    expect(cairn_cuda_join(context, &id, size, size) == CAIRN_CUDA_STATUS_FAILED,
           "a rank beyond the last is refused");
    const cairn_cuda_status joined = cairn_cuda_join(context, &id, rank, size);
    expect(joined == CAIRN_CUDA_STATUS_OK, "joining");
    if (joined == CAIRN_CUDA_STATUS_OK) {
        test_messages(rank, size);
        test_refusals(rank, size);
        expect(table->finish(context) == CAIRN_STATUS_OK, "the end");
    }
    cairn_cuda_close(context);
    printf("rank %d: %zu passed, %zu failed\n", rank, passed, failed);
    fflush(stdout);
    return failed > 0 || passed == 0;
}

static int run_without(void) {
    int32_t version = -1;
    cairn_cuda_ranks_id id;
    expect(cairn_cuda_nccl_version(&version) == CAIRN_CUDA_STATUS_NO_NCCL && version == 0,
           "NCCL is absent");
    expect(strstr(cairn_cuda_error_text(), "NCCL is not there: libnccl.so.2"), "and a sentence");
    expect(cairn_cuda_make_ranks_id(&id) == CAIRN_CUDA_STATUS_NO_NCCL, "no id without it");
    if (open_device(0)) {
        memset(&id, 0, sizeof id);
        expect(cairn_cuda_join(context, &id, 0, 1) == CAIRN_CUDA_STATUS_NO_NCCL, "nor ranks");
        cairn_cuda_close(context);
    }
    printf("without NCCL: %zu passed, %zu failed\n", passed, failed);
    return failed > 0;
}

int main(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "none") == 0) return run_without();
    const int size = count == 2 ? atoi(arguments[1]) : 0;
    int pipes[2];
    if (size < 1 || size > MOST || pipe(pipes)) return 2;
    // A driver does not survive a fork: a child counts what this process must not touch.
    const pid_t counter = fork();
    if (counter == 0) {
        int32_t devices = 0, version = 0;
        if (cairn_cuda_device_count(&devices) != CAIRN_CUDA_STATUS_OK
            || cairn_cuda_nccl_version(&version) != CAIRN_CUDA_STATUS_OK) {
            printf("%s\n", cairn_cuda_error_text());
            fflush(stdout);
            _exit(0);
        }
        _exit(devices < 100 ? devices : 100);
    }
    int ended = 0, bad = 0;
    waitpid(counter, &ended, 0);
    const int devices = WIFEXITED(ended) ? WEXITSTATUS(ended) : 0;
    if (devices == 0) return 77;
    for (int rank = 0; rank < size; rank++)
        if (fork() == 0) _exit(run_rank(rank, size, rank % devices, pipes));
    for (int rank = 0; rank < size; rank++) {
        wait(&ended);
        bad += !WIFEXITED(ended) || WEXITSTATUS(ended) != 0;
    }
    return bad > 0;
}
