# SPDX-License-Identifier: Apache-2.0
# Seeded random payloads of every kind of data that Marshal has, shared parts among them.

class Payloads
  ENCODINGS = [Encoding::UTF_8, Encoding::UTF_8, Encoding::BINARY, Encoding::US_ASCII, Encoding::Shift_JIS,
               Encoding::UTF_16LE, Encoding::EUC_JP, Encoding::ISO_8859_1].freeze
  SYMBOLS = [:a, :learning_rate, :E, :encoding, :"with space", :"", :é, :"日本"].freeze
  FLOATS = [0.0, -0.0, 1.5, 0.1, 1e-5, 1e16, 1e22, 1e23, 5e-324, Float::MAX, Float::MIN, Float::INFINITY,
            -Float::INFINITY, Float::NAN, 2.0**53, 123456789012345680.0].freeze

  def initialize(seed)
    @random = Random.new(seed)
    @pool = []
  end

  def value(depth = 5)
    shared = @pool.sample(random: @random) if @random.rand(8).zero?
    return shared if shared
    fresh = @random.rand(3).zero? || depth.zero? ? scalar : container(depth)
    @pool << fresh if fresh.is_a?(String) || fresh.is_a?(Array) || fresh.is_a?(Hash) || fresh.is_a?(Float)
    fresh
  end

  private

  def scalar
    case @random.rand(8)
    when 0 then [nil, true, false].sample(random: @random)
    when 1 then integer(@random.rand(40))
    when 2 then integer(@random.rand(200))
    when 3 then FLOATS.sample(random: @random)
    when 4 then [@random.rand(2**64)].pack("Q").unpack1("D")
    when 5 then SYMBOLS.sample(random: @random)
    else string
    end
  end

  def integer(bits)
    number = @random.rand(2**bits + 1)
    @random.rand(2).zero? ? number : -number
  end

  def string
    bytes = case @random.rand(4)
            when 0 then ""
            when 1 then "plain text"
            when 2 then "grüße, 日本"
            else @random.bytes(@random.rand(300))
            end
    bytes.dup.force_encoding(ENCODINGS.sample(random: @random))
  end

  def container(depth)
    size = @random.rand(7)
    return Array.new(size) { value(depth - 1) } if @random.rand(2).zero?
    hash = @random.rand(4).zero? ? Hash.new(scalar) : {}
    size.times { hash[@random.rand(4).zero? ? scalar : string] = value(depth - 1) }
    hash
  end
end
