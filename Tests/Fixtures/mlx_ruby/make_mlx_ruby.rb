# SPDX-License-Identifier: Apache-2.0
# Writes checkpoints as mlx-ruby does, with plain Ruby: ruby make_mlx_ruby.rb
#
# adam.bin                    Marshal form: metadata with symbols, state of one Adam
# adam.safetensors, .mlxmeta.json    native form of the same
# multi.bin                   Marshal form: state of a MultiOptimizer of Adam (weights) and SGD
# sgd.bin                     Marshal form: SGD without momentum, whose velocities are zeros
#
# The model is 3 -> 4 -> 2 with parameters 0.weight, 0.bias, 2.weight and 2.bias; number i of
# everything is i/64, from an offset of its own.
require "json"

SHAPES = { "0" => { "bias" => [4], "weight" => [4, 3] }, "2" => { "bias" => [2], "weight" => [2, 4] } }

def values(shape, offset)
  flat = Array.new(shape.reduce(1, :*)) { |i| (offset + i) / 64.0 }
  shape.length == 2 ? flat.each_slice(shape[1]).to_a : flat
end

def record(shape, offset)
  { "__mlx_array__" => { "values" => values(shape, offset), "dtype" => "float32" } }
end

def tree(leaves = %w[weight bias])
  SHAPES.to_h do |layer, parameters|
    [layer, parameters.select { |name, _| leaves.include?(name) }
                      .to_h { |name, shape| [name, yield(shape)] }]
  end
end

def adam(leaves = %w[weight bias])
  { "step" => 5, "learning_rate" => 0.125 }
    .merge(tree(leaves) { |shape| { "m" => record(shape, -3), "v" => record(shape, 1) } })
end

def sgd(leaves, velocity)
  { "step" => 5, "learning_rate" => 0.125 }
    .merge(tree(leaves) { |shape| { "v" => velocity ? record(shape, 7) : zeros(shape) } })
end

def zeros(shape)
  list = shape.length == 2 ? Array.new(shape[0]) { [0.0] * shape[1] } : [0.0] * shape[0]
  { "__mlx_array__" => { "values" => list, "dtype" => "float32" } }
end

def marshal(name, optimizer)
  payload = {
    "format" => "mlx_dsl_checkpoint_v1", "model" => tree { |shape| record(shape, 2) },
    "metadata" => { "epoch" => 1, :tag => :first, "epoch_loss" => 0.5 }, "optimizer" => optimizer
  }
  File.binwrite(File.join(__dir__, name), Marshal.dump(payload))
end

marshal("adam.bin", adam)
marshal("multi.bin", { "states" => [adam(["weight"]), sgd(["bias"], true)] })
marshal("sgd.bin", sgd(%w[weight bias], false))

header = {}
data = String.new
SHAPES.each do |layer, parameters|
  parameters.each do |name, shape|
    bytes = values(shape, 2).flatten.pack("e*")
    header["#{layer}.#{name}"] =
      { "dtype" => "F32", "shape" => shape, "data_offsets" => [data.bytesize, data.bytesize + bytes.bytesize] }
    data << bytes
  end
end
text = JSON.generate(header)
text << " " * (-text.bytesize % 8)
weights = File.join(__dir__, "adam.safetensors")
File.binwrite(weights, [text.bytesize].pack("Q<") + text + data)
sidecar = {
  "format" => "mlx_dsl_checkpoint_v2_native", "weights_format" => "safetensors",
  "metadata" => { "epoch" => 1, "tag" => "first", "epoch_loss" => 0.5 }, "optimizer" => adam
}
File.binwrite("#{weights}.mlxmeta.json", JSON.generate(sidecar))
