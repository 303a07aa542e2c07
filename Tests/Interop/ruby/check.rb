# SPDX-License-Identifier: Apache-2.0
# Compares Cairn's Marshal with Ruby's own, both ways, and mlx-ruby's checkpoints in both forms.
# usage: ruby check.rb CAIRN WORK

require "fileutils"
require "json"
require "open3"
require "ostruct"
require "set"
require "time"
require_relative "canonical"
require_relative "checkpoints"
require_relative "payloads"

CAIRN, WORK = ARGV
COUNT = 500
$passed = $failed = 0

def check(what, holds)
  if holds
    $passed += 1
  else
    $failed += 1
    puts "FAILED #{what}"
  end
end

def probe(*arguments)
  _, errors, status = Open3.capture3(CAIRN, "formats-probe", *arguments)
  [status.success?, errors]
end

def probe!(*arguments)
  success, errors = probe(*arguments)
  abort "cairn formats-probe #{arguments.join(' ')}: #{errors}" unless success
end

def directory(name)
  path = File.join(WORK, name)
  FileUtils.mkdir_p(path)
  path
end

# Random payloads: Ruby's dump as Cairn reads it, Cairn's stream as Ruby loads it, and a copy.
payloads = Array.new(COUNT) { |seed| Payloads.new(seed).value }
expected = payloads.map { |payload| JSON.generate(Canonical.of(payload)) }
dumps, texts, ours = directory("dumps"), directory("texts"), directory("ours")
payloads.each_with_index do |payload, index|
  File.binwrite("#{dumps}/#{index}", Marshal.dump(payload))
  File.binwrite("#{texts}/#{index}", expected[index])
end
read, copies = directory("read"), directory("copies")
probe!("marshal-text", dumps, read)
probe!("text-marshal", texts, ours)
probe!("marshal", dumps, copies)
COUNT.times do |index|
  check("payload #{index}: dumped by Ruby, read by Cairn", File.read("#{read}/#{index}") == expected[index])
  [["written", ours], ["copied", copies]].each do |word, from|
    loaded = Marshal.load(File.binread("#{from}/#{index}"))
    check("payload #{index}: #{word} by Cairn, loaded by Ruby", JSON.generate(Canonical.of(loaded)) == expected[index])
  end
end
puts "#{COUNT} random payloads, #{payloads.sum { |payload| Marshal.dump(payload).bytesize }} bytes as Ruby dumps them"

# Checkpoints: through Cairn's tensors, as Marshal, and as weights with a sidecar.
checkpoints = directory("checkpoints")
100.times do |seed|
  native = seed.odd?
  payload = Checkpoints.new(seed, json: native).payload
  source = "#{checkpoints}/#{seed}.bin"
  File.binwrite(source, Marshal.dump(payload))
  if native
    weights = "#{checkpoints}/#{seed}.#{%w[npz safetensors][seed / 2 % 2]}"
    probe!("mlx-ruby", source, weights)
    sidecar = JSON.parse(File.read("#{weights}.mlxmeta.json"))
    check("checkpoint #{seed}: sidecar", sidecar == {
      "format" => "mlx_dsl_checkpoint_v2_native", "weights_format" => File.extname(weights)[1..],
      "metadata" => payload["metadata"], "optimizer" => payload["optimizer"]
    })
    # The sidecar as mlx-ruby would have written it.
    File.write("#{weights}.mlxmeta.json", JSON.generate(sidecar))
    source = weights
  end
  probe!("mlx-ruby", source, "#{checkpoints}/#{seed}.back")
  check("checkpoint #{seed}", Marshal.load(File.binread("#{checkpoints}/#{seed}.back")) == payload)
end

# What Ruby would run code for, and what is no data: refused by kind, name and place.
class Own
  def initialize = @x = 1
end
class OwnString < String; end
class OwnArray < Array; end
class OwnHash < Hash; end
class Dumped
  def _dump(_) = "x"
  def self._load(_) = new
end
OwnStruct = Struct.new(:a)
module Extension; end
cyclic = [1]
cyclic << cyclic
cyclic_hash = {}
cyclic_hash["self"] = cyclic_hash
marked = +"text"
marked.instance_variable_set(:@mark, 1)
refused = {
  "Own" => Own.new, "OwnString" => OwnString.new("a"), "OwnArray" => OwnArray.new([1]), "OwnHash" => OwnHash.new,
  "Dumped" => Dumped.new, "OwnStruct" => OwnStruct.new(1), "Extension" => +"a".dup.extend(Extension),
  "String" => String, "Kernel" => Kernel, "Time" => Time.at(0), "Rational" => Rational(1, 2),
  "Complex" => Complex(1, 2), "Range" => (1..2), "Set" => Set[1], "OpenStruct" => OpenStruct.new(a: 1),
  "Exception" => RuntimeError.new("x"), "regular expression 'a.c'" => /a.c/, "Encoding" => Encoding::UTF_8,
  "cycles" => cyclic, "link to an object that contains it" => cyclic_hash, "@mark" => marked,
  "Hash" => {}.compare_by_identity
}
refused.delete("Encoding") # Ruby itself refuses to dump it
refused["RuntimeError"] = refused.delete("Exception")
refused.each do |word, value|
  [value, { "deep" => [nil, value] }].each do |payload|
    File.binwrite("#{WORK}/refused", Marshal.dump(payload))
    success, errors = probe("marshal", "#{WORK}/refused", "#{WORK}/refused.out")
    check("#{word} is refused: #{errors}", !success && errors.include?(word) && errors.match?(/byte \d+:/))
  end
end

# The fixture of the Swift tests is what this script's neighbour prints.
if RUBY_VERSION.start_with?("3.")
  golden = `#{RbConfig.ruby} #{__dir__}/golden.rb`
  check("MarshalGolden.swift", golden == File.read("#{__dir__}/../../CairnFormatsTests/MarshalGolden.swift"))
end
puts "#{$passed} passed, #{$failed} failed"
exit $failed.zero? ? 0 : 1
