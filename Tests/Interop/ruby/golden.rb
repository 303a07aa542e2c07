# SPDX-License-Identifier: Apache-2.0
# Prints Tests/CairnFormatsTests/MarshalGolden.swift: what this Ruby's Marshal.dump gives.
# usage: ruby golden.rb > MarshalGolden.swift

def record(values, dtype)
  { "__mlx_array__" => { "values" => values, "dtype" => dtype } }
end

text = "shared"
list = [1]
with_default = Hash.new(7)
with_default["a"] = 1

cases = {
  "constants" => [nil, true, false],
  "small integers" => [0, 1, -1, 122, 123, -123, -124, 255, 256, -256, -257, 65_536, 2**30 - 1, -2**30],
  "large integers" => [2**30, -2**30 - 1, 2**63 - 1, -2**63, 2**63, 2**64, -2**64, 2**100],
  "floats" => [0.0, -0.0, 1.5, 0.1, 1e-4, 1e-5, 1.25e-7, 1e16, 123456789012345680.0, 1e300, 5e-324,
               1.7976931348623157e308, Float::INFINITY, -Float::INFINITY, Float::NAN],
  "strings" => ["", "a", "é", "\xFF".b, "a".encode("US-ASCII"), "あ".encode("Shift_JIS"),
                "い".encode("Shift_JIS")],
  "symbols" => [:a, :é, :a, :é, :"two words"],
  "links" => [text, text, list, list, 2.5, 2.5, 2**70, 2**71],
  "hashes" => { "a" => 1, :b => [2], 3 => { nil => 0.5 }, "d" => {} },
  "a hash with a default" => with_default,
  "a checkpoint" => {
    "format" => "mlx_dsl_checkpoint_v1",
    "model" => {
      "net" => {
        "layers" => [
          { "weight" => record([[1.0, 2.0], [3.0, -0.5]], "float32"), "bias" => record([0.25, 3.0], "bfloat16") },
          {},
          { "weight" => record([1, -2, 3], "int8"), "mask" => record([true, false], "bool_") },
        ],
      },
      "scale" => record(1.5, "float64"),
      "empty" => record([], "float16"),
      "seed" => record([2**64 - 1], "uint64"),
    },
    "metadata" => { "epoch" => 1, :tag => :best, "monitor_value" => 1.5, "best_path" => nil },
    "optimizer" => {
      "step" => 3, "learning_rate" => 0.001,
      "net" => { "layers" => [{ "weight" => { "m" => record([[0.5, 0.25], [0.0, 1.0]], "float32"),
                                              "v" => record([[1.0, 2.0], [3.0, 4.0]], "float32") }, "bias" => {} },
                              {}, {}] },
    },
  },
}

puts "// SPDX-License-Identifier: Apache-2.0"
puts "/// What Ruby itself dumps, in hexadecimal: written by Tests/Interop/ruby/golden.rb."
puts
puts "enum MarshalGolden {"
puts "    static let dumps: [String: String] = ["
cases.each do |name, value|
  puts "        \"#{name}\": \"\"\""
  Marshal.dump(value).unpack1("H*").scan(/.{1,88}/) { |line| puts "        #{line}" }
  puts "        \"\"\","
end
puts "    ]"
puts "}"
