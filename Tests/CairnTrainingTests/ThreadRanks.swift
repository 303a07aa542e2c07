// SPDX-License-Identifier: Apache-2.0
/// Ranks as threads of one process, with messages that are copied from one to another.

import CairnEngine
import CairnTraining
import Foundation

/// The letters between ranks that are threads. A sender may change a letter only when it was taken, as
/// with large messages of MPI: ranks that would wait for each other there do so here.
final class PostOffice: @unchecked Sendable {
    // Unchecked: everything is behind the condition.
    private let condition = NSCondition()
    private var boxes: [[Int]: [[UInt8]]] = [:]
    private var taken: [[Int]: Int] = [:]
    private var isClosed = false
    /// Bytes that each rank sent.
    private var sent: [Int: Int] = [:]
    let size: Int

    init(_ size: Int) { self.size = size }

    func put(_ bytes: [UInt8], from sender: Int, to rank: Int) {
        condition.withLock {
            boxes[[sender, rank], default: []].append(bytes)
            sent[sender, default: 0] += bytes.count
            condition.broadcast()
        }
    }

    func take(from sender: Int, at rank: Int) throws -> [UInt8] {
        try condition.withLock {
            while boxes[[sender, rank], default: []].isEmpty {
                if isClosed { throw TransportError.notBuiltIn }
                condition.wait()
            }
            taken[[sender, rank], default: 0] += 1
            condition.broadcast()
            return boxes[[sender, rank]]!.removeFirst()
        }
    }

    /// Waits until a rank has taken so many letters of another.
    func waitUntilTaken(_ count: Int, from sender: Int, at rank: Int) throws {
        try condition.withLock {
            while taken[[sender, rank], default: 0] < count {
                if isClosed { throw TransportError.notBuiltIn }
                condition.wait()
            }
        }
    }

    /// Wakes everyone who waits for what will not come.
    func close() {
        condition.withLock {
            isClosed = true
            condition.broadcast()
        }
    }

    func sentBytes(_ rank: Int) -> Int { condition.withLock { sent[rank] ?? 0 } }

    /// Runs a body on as many threads as there are ranks; what each gave, or its error.
    func run<Value: Sendable>(
        _ body: @escaping @Sendable (Ranks) throws -> Value
    ) -> [Result<Value, any Error>] {
        let results = Results<Value>()
        let threads = (0..<size).map { rank in
            let thread = Thread {
                let result = Result { try body(Ranks(ThreadTransport(self, rank: rank))) }
                // What all ranks know of, each finds out by a message that is still on its way.
                if case .failure(let error) = result, !(error is RanksError) { self.close() }
                results.put(result, rank)
            }
            thread.stackSize = 8 << 20
            return thread
        }
        for thread in threads { thread.start() }
        return results.all(size)
    }
}

private final class Results<Value: Sendable>: @unchecked Sendable {
    // Unchecked: the results are behind the condition.
    private let condition = NSCondition()
    private var results: [Int: Result<Value, any Error>] = [:]

    func put(_ result: Result<Value, any Error>, _ rank: Int) {
        condition.withLock {
            results[rank] = result
            condition.broadcast()
        }
    }

    func all(_ count: Int) -> [Result<Value, any Error>] {
        condition.withLock {
            while results.count < count { condition.wait() }
            return (0..<count).map { results[$0]! }
        }
    }
}

/// One of the threads.
final class ThreadTransport: Transport {
    let rank: Int
    private let office: PostOffice
    private var open: [UInt64: (rank: Int, number: Int)] = [:]
    private var counts: [Int: Int] = [:]
    private var count: UInt64 = 0

    var size: Int { office.size }

    init(_ office: PostOffice, rank: Int) {
        self.office = office
        self.rank = rank
    }

    func start(_ bytes: UnsafeRawBufferPointer, to other: Int) -> UInt64 {
        office.put(Array(bytes), from: rank, to: other)
        count += 1
        counts[other, default: 0] += 1
        open[count] = (other, counts[other]!)
        return count
    }

    func finish(_ message: UInt64) throws {
        guard let (other, number) = open.removeValue(forKey: message) else {
            preconditionFailure("message \(message) was finished before")
        }
        try office.waitUntilTaken(number, from: rank, at: other)
    }

    func receive(into bytes: UnsafeMutableRawBufferPointer, from other: Int) throws {
        let letter = try office.take(from: other, at: rank)
        precondition(letter.count == bytes.count, "\(bytes.count) bytes asked for \(letter.count)")
        bytes.copyBytes(from: letter)
    }

    func close() { precondition(open.isEmpty, "\(open.count) messages were never finished") }

    func abandon() { office.close() }
}

/// The devices of the threads, whose memory is the host's: what NCCL does between GPUs.
final class ThreadDevices: DeviceTransport {
    private let transport: ThreadTransport
    private let context: Context

    init(_ office: PostOffice, rank: Int, _ context: Context) {
        transport = ThreadTransport(office, rank: rank)
        self.context = context
    }

    func exchange(_ parcels: [Parcel]) throws {
        let messages = parcels.filter { !$0.arrives }.map { parcel in
            context.read(parcel.memory).withUnsafeBytes { transport.start($0, to: parcel.rank) }
        }
        for parcel in parcels where parcel.arrives {
            var numbers = [Float](repeating: .nan, count: parcel.memory.count)
            try numbers.withUnsafeMutableBytes {
                try transport.receive(into: $0, from: parcel.rank)
            }
            context.write(numbers, to: parcel.memory)
        }
        for message in messages { try transport.finish(message) }
    }
}
