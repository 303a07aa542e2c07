// SPDX-License-Identifier: Apache-2.0
/// Tensors of a torch file: views of storages, checked before they are made.

import CairnTensor

/// A storage that a pickle names: the entry `data/<key>`.
struct TorchStorageReference {
    let dtype: DType
    let key: String
    let elementCount: Int
}

/// What `_rebuild_tensor_v2` is given: a storage, the first element, sizes and strides in elements.
struct TensorDescription {
    let storage: TorchStorageReference
    let offset: Int
    let sizes: [Int]
    let strides: [Int]
    /// Where in the pickle it stands, for errors.
    let place: String

    /// The arguments `(storage, offset, sizes, strides, requires_grad, hooks)`.
    init(
        _ arguments: [Unpickler.Item], in pickle: Unpickler, place: String
    ) throws(FormatError) {
        guard arguments.count >= 6, case .storage(let storage) = arguments[0],
            case .integer(let offset) = arguments[1],
            let sizes = Self.numbers(arguments[2], in: pickle),
            let strides = Self.numbers(arguments[3], in: pickle),
            offset >= 0, sizes.count == strides.count, sizes.count <= 64
        else {
            throw pickle.failure(
                "a storage, an offset, sizes and strides of a tensor", "other arguments")
        }
        self.storage = storage
        self.offset = Int(offset)
        self.sizes = sizes
        self.strides = strides
        self.place = place
        try checkReach(pickle)
    }

    /// The numbers of a tuple, none of them negative.
    private static func numbers(_ item: Unpickler.Item, in pickle: Unpickler) -> [Int]? {
        guard let items = pickle.elements(item) else { return nil }
        var numbers: [Int] = []
        for item in items {
            guard case .integer(let number) = item, number >= 0 else { return nil }
            numbers.append(Int(number))
        }
        return numbers
    }

    /// The last element lies in the storage, and no more are asked for than it holds: a view that
    /// repeats elements would let a short file fill the memory.
    private func checkReach(_ pickle: Unpickler) throws(FormatError) {
        // Strides of an empty tensor are products too, of the sizes that are not 0.
        guard Shape.checkedElementCount(sizes.map { max($0, 1) }) != nil,
            let count = Shape.checkedElementCount(sizes), count <= storage.elementCount,
            storage.dtype.byteCount(elements: storage.elementCount) != nil
        else {
            throw pickle.failure(
                "at most the \(storage.elementCount) elements of its storage", "sizes \(sizes)")
        }
        if count == 0 { return }
        var last = offset
        for (size, stride) in zip(sizes, strides) {
            let (step, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
            let (sum, carry) = last.addingReportingOverflow(step)
            last = overflow || carry ? Int.max : sum
        }
        guard last < storage.elementCount else {
            throw pickle.failure(
                "elements of a storage of \(storage.elementCount)",
                "offset \(offset), sizes \(sizes), strides \(strides)")
        }
    }

    /// Whether the elements lie one behind the other.
    private var isContiguous: Bool {
        var expected = 1
        for (size, stride) in zip(sizes, strides).reversed() where size != 1 {
            if stride != expected { return false }
            expected *= size
        }
        return true
    }

    /// The tensor over `bytes`: borrowed where they lie in order and aligned, else copied.
    func tensor(over bytes: TensorStorage) -> Tensor {
        let width = storage.dtype.bitWidth / 8
        let shape = Shape(sizes)
        let whole = UnsafeRawBufferPointer(bytes.bytes)
        let count = shape.elementCount
        if count == 0 { return Tensor(zeros: shape, dtype: storage.dtype) }
        if isContiguous {
            let first = offset * width
            let part = UnsafeRawBufferPointer(rebasing: whole[first..<(first + count * width)])
            if Int(bitPattern: part.baseAddress) % width == 0 {
                return Tensor(
                    dtype: storage.dtype, shape: shape,
                    storage: TensorStorage(borrowing: part, owner: bytes))
            }
        }
        let copy = TensorStorage(byteCount: count * width)
        gather(whole, width: width, into: copy.bytes)
        return Tensor(dtype: storage.dtype, shape: shape, storage: copy)
    }

    private func gather(
        _ source: UnsafeRawBufferPointer, width: Int, into target: UnsafeMutableRawBufferPointer
    ) {
        var index = [Int](repeating: 0, count: sizes.count)
        var from = offset
        for place in stride(from: 0, to: target.count, by: width) {
            let element = source[(from * width)..<((from + 1) * width)]
            target[place..<(place + width)].copyBytes(from: element)
            for axis in sizes.indices.reversed() {
                index[axis] += 1
                from += strides[axis]
                if index[axis] < sizes[axis] { break }
                from -= index[axis] * strides[axis]
                index[axis] = 0
            }
        }
    }
}
