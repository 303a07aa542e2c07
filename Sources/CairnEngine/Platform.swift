// SPDX-License-Identifier: Apache-2.0
/// The two things that the engine asks of the system: a lock and the number of processors.

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A mutual exclusion lock that stays at one address.
final class Lock: @unchecked Sendable {
    // Unchecked: the mutex is the one thing that several threads may touch.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    init() {
        let status = pthread_mutex_init(mutex, nil)
        precondition(status == 0, "pthread_mutex_init returned \(status), expected 0")
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func lock() {
        let status = pthread_mutex_lock(mutex)
        precondition(status == 0, "pthread_mutex_lock returned \(status), expected 0")
    }

    func unlock() {
        let status = pthread_mutex_unlock(mutex)
        precondition(status == 0, "pthread_mutex_unlock returned \(status), expected 0")
    }
}

/// Processors of the machine that are switched on, at least 1.
func activeProcessorCount() -> Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
