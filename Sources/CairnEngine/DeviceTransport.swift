// SPDX-License-Identifier: Apache-2.0
/// Messages between the memories of the ranks' devices, without the host: what NCCL gives, and tests
/// give without it.

/// Device memory that goes to another rank or comes from it.
package struct Parcel {
    package let memory: Floats
    /// The other rank.
    package let rank: Int
    /// Whether it comes from there.
    package let arrives: Bool

    /// Memory that is sent.
    package static func sent(_ memory: Floats, to rank: Int) -> Parcel {
        Parcel(memory: memory, rank: rank, arrives: false)
    }

    /// Memory that is filled.
    package static func received(into memory: Floats, from rank: Int) -> Parcel {
        Parcel(memory: memory, rank: rank, arrives: true)
    }
}

/// A device among those of the other ranks.
package protocol DeviceTransport: AnyObject {
    /// Sends and receives all parcels at once, behind what the context was asked for before and in
    /// front of what it is asked for next.
    ///
    /// Every rank calls it. What two ranks send each other meets what they expect in the order of
    /// the parcels, and must have its length.
    func exchange(_ parcels: [Parcel]) throws
}
