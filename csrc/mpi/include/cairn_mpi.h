// SPDX-License-Identifier: Apache-2.0
/// What the engine needs of MPI: who it is among how many, messages, and an end for all.
///
/// One thread of a process may call these. A function that can fail returns 0, or a code that
/// `cairn_mpi_explain` turns into a sentence; after a code the other ranks are in an unknown state,
/// and only `cairn_mpi_abandon` is left.

#ifndef CAIRN_MPI_H
#define CAIRN_MPI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A message on its way; the implementation's own handle.
typedef struct {
    uint64_t handle;
} cairn_mpi_message;

/// Enters the world of the launcher; once in a process.
///
/// - rank:  out, this process, from 0.
/// - size:  out, how many processes there are, at least 1.
int cairn_mpi_open(int *rank, int *size);

/// Leaves the world; returns when every rank has called it.
int cairn_mpi_close(void);

/// Ends every rank with the exit status `code`; it does not return.
void cairn_mpi_abandon(int code);

/// Starts to send `bytes` bytes to rank `to`; they must stay as they are until `cairn_mpi_finish`
/// has returned. Messages from one rank to another arrive in the order in which they were started.
int cairn_mpi_start(const void *data, size_t bytes, int to, cairn_mpi_message *message);

/// Waits until a message has left its memory.
int cairn_mpi_finish(cairn_mpi_message *message);

/// Waits for the next message from rank `from`, which has `bytes` bytes. A message has at most
/// 2^31 - 1.
int cairn_mpi_receive(void *data, size_t bytes, int from);

/// Writes what a code means, with the final zero at most `capacity` bytes.
void cairn_mpi_explain(int code, char *text, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
