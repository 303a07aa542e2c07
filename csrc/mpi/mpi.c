// SPDX-License-Identifier: Apache-2.0
/// Messages over MPI, with a wait that leaves the processor to those who compute.

#define _DEFAULT_SOURCE 1  // Strict C11 hides nanosleep otherwise.

#include "include/cairn_mpi.h"

#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <string.h>
#include <time.h>

enum {
    TAG = 1,
    EAGER_POLLS = 500,      // Some ten microseconds: an answer that is almost there.
    YIELDING_POLLS = 5000,  // Then whoever else wants the processor goes first.
    NAP_NANOSECONDS = 20000,
};

_Static_assert(sizeof(MPI_Request) <= sizeof(uint64_t), "a request fits into its handle");

static MPI_Request request_of(const cairn_mpi_message *message) {
    MPI_Request request;
    memcpy(&request, &message->handle, sizeof request);
    return request;
}

static void keep_request(cairn_mpi_message *message, MPI_Request request) {
    message->handle = 0;
    memcpy(&message->handle, &request, sizeof request);
}

/// MPI_Wait of most implementations polls without pause, which starves the ranks that compute
/// where there are more ranks than processors.
static int wait_for(MPI_Request *request, MPI_Status *status) {
    for (unsigned polls = 0;; polls++) {
        int done = 0;
        const int code = MPI_Test(request, &done, status);
        if (code != MPI_SUCCESS || done) return code;
        if (polls >= YIELDING_POLLS) {
            const struct timespec nap = {.tv_sec = 0, .tv_nsec = NAP_NANOSECONDS};
            nanosleep(&nap, NULL);
        } else if (polls >= EAGER_POLLS) {
            sched_yield();
        }
    }
}

int cairn_mpi_open(int *rank, int *size) {
    int provided = 0;
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    if (code != MPI_SUCCESS) return code;
    if (provided < MPI_THREAD_FUNNELED) return MPI_ERR_OTHER;
    code = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS) code = MPI_Comm_rank(MPI_COMM_WORLD, rank);
    if (code == MPI_SUCCESS) code = MPI_Comm_size(MPI_COMM_WORLD, size);
    return code;
}

int cairn_mpi_close(void) { return MPI_Finalize(); }

void cairn_mpi_abandon(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

int cairn_mpi_start(const void *data, size_t bytes, int to, cairn_mpi_message *message) {
    if (bytes > INT_MAX) return MPI_ERR_COUNT;
    MPI_Request request = MPI_REQUEST_NULL;
    const int code = MPI_Isend(data, (int)bytes, MPI_BYTE, to, TAG, MPI_COMM_WORLD, &request);
    keep_request(message, request);
    return code;
}

int cairn_mpi_finish(cairn_mpi_message *message) {
    MPI_Request request = request_of(message);
    const int code = wait_for(&request, MPI_STATUS_IGNORE);
    keep_request(message, request);
    return code;
}

int cairn_mpi_receive(void *data, size_t bytes, int from) {
    if (bytes > INT_MAX) return MPI_ERR_COUNT;
    MPI_Request request;
    MPI_Status status;
    int code = MPI_Irecv(data, (int)bytes, MPI_BYTE, from, TAG, MPI_COMM_WORLD, &request);
    if (code != MPI_SUCCESS) return code;
    code = wait_for(&request, &status);
    if (code != MPI_SUCCESS) return code;
    int count = 0;
    code = MPI_Get_count(&status, MPI_BYTE, &count);
    if (code != MPI_SUCCESS) return code;
    return (size_t)count == bytes ? MPI_SUCCESS : MPI_ERR_COUNT;
}

void cairn_mpi_explain(int code, char *text, size_t capacity) {
    char whole[MPI_MAX_ERROR_STRING + 1] = "";
    int length = 0;
    if (MPI_Error_string(code, whole, &length) != MPI_SUCCESS) length = 0;
    whole[length < MPI_MAX_ERROR_STRING ? length : MPI_MAX_ERROR_STRING] = 0;
    if (capacity == 0) return;
    strncpy(text, whole, capacity - 1);
    text[capacity - 1] = 0;
}
