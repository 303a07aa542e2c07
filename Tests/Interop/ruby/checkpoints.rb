# SPDX-License-Identifier: Apache-2.0
# Payloads as mlx-ruby's checkpoints have them, from a plain Ruby without MLX.

class Checkpoints
  FORMAT = "mlx_dsl_checkpoint_v1"
  # How the bits of an element are drawn and read, per dtype.
  INTEGERS = { "int8" => [8, true], "int16" => [16, true], "int32" => [32, true], "int64" => [64, true],
               "uint8" => [8, false], "uint16" => [16, false], "uint32" => [32, false],
               "uint64" => [64, false] }.freeze
  FLOATS = %w[float32 float16 bfloat16 float64].freeze
  DTYPES = (INTEGERS.keys + FLOATS + ["bool_"]).freeze

  # json: whether numbers stay within what a sidecar's JSON can say.
  def initialize(seed, json:)
    @random = Random.new(seed)
    @json = json
  end

  def payload
    {
      "format" => FORMAT,
      "model" => { "net" => { "layers" => layers { |dtype| record(dtype) } }, "head" => { "weight" => record("float32") } },
      "metadata" => { "epoch" => @random.rand(9), "monitor_name" => "val_loss", "monitor_value" => @random.rand,
                      "best_path" => nil, "tags" => ["ü", true] },
      "optimizer" => optimizer,
    }
  end

  private

  def optimizer
    one = lambda do
      { "step" => @random.rand(10_000), "learning_rate" => @random.rand,
        "net" => { "layers" => layers { |dtype| slots(dtype) } } }
    end
    @random.rand(3).zero? ? { "states" => [one.call, one.call] } : one.call
  end

  # A list with a layer that has no parameters, as an activation.
  def layers
    dtypes = DTYPES.shuffle(random: @random)
    [{ "weight" => yield(dtypes[0]), "bias" => yield(dtypes[1]) }, {}, { "weight" => yield(dtypes[2]) }]
  end

  def slots(dtype)
    { "m" => record(dtype), "v" => record("float32") }
  end

  def record(dtype)
    { "__mlx_array__" => { "values" => values(dtype, [[], [3], [2, 3], [2, 1, 2]].sample(random: @random)),
                           "dtype" => dtype } }
  end

  def values(dtype, shape)
    return element(dtype) if shape.empty?
    Array.new(shape[0]) { values(dtype, shape[1..]) }
  end

  def element(dtype)
    return @random.rand(2).zero? if dtype == "bool_"
    bits, signed = INTEGERS[dtype]
    return float(dtype) unless bits
    bits -= 1 if dtype == "uint64" && @json
    number = @random.rand(2**bits)
    signed ? number - 2**(bits - 1) : number
  end

  def float(dtype)
    loop do
      number = case dtype
               when "float64" then [@random.rand(2**64)].pack("Q").unpack1("D")
               when "float32" then [@random.rand(2**32)].pack("L").unpack1("F")
               when "bfloat16" then [@random.rand(2**16) << 16].pack("L").unpack1("F")
               when "float16" then (@random.rand(2**11) - 2**10) * 2.0**(@random.rand(20) - 14)
               end
      return number if number.finite?
    end
  end
end
