# SPDX-License-Identifier: Apache-2.0
# Ruby data as the JSON text of `cairn formats-probe`: numbers and strings by their bits.

module Canonical
  module_function

  def of(value)
    case value
    when nil, true, false then value
    when Integer then { "i" => value.to_s(16) }
    when Float then { "f" => value.nan? ? "nan" : [value].pack("G").unpack1("H*").sub(/\A0+(?=.)/, "") }
    when String then { "s" => value.unpack1("H*"), "e" => value.encoding.name }
    when Symbol then { "y" => value.to_s.unpack1("H*"), "e" => value.encoding.name }
    when Array then { "a" => value.map { |element| of(element) } }
    when Hash
      hash = { "h" => value.map { |key, element| [of(key), of(element)] } }
      hash["d"] = of(value.default) unless value.default.nil?
      hash
    else raise "no data: #{value.class}"
    end
  end
end
